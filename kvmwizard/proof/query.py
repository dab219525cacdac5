"""The last level: QEMU itself says over QMP whether KVM is present and in use."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.context import ProofContext
from kvmwizard.proof.messages import Trouble, not_started, trouble_in, unexpected_end
from kvmwizard.proof.model import ProofLevel
from kvmwizard.proof.process import EmulatorProcess, WaitEnd, emulator_process, hand_over, private_directory
from kvmwizard.proof.remedies import other_qemu_remedy, try_again_remedy
from kvmwizard.words import Words, say

CONNECT_SECONDS = 60.0
ANSWER_SECONDS = 20.0
END_SECONDS = 3.0
SOCKET = "qmp"

# The empty machine: needs neither firmware nor disk, on every architecture.
ARGUMENTS = (
    "-no-user-config",
    "-nodefaults",
    *("-display", "none"),
    *("-machine", "none"),
    "-enable-kvm",
    "-S",
    *("-qmp", f"unix:{SOCKET}"),
)


@dataclass(frozen=True)
class KvmAnswer:
    """QEMU's KvmInfo."""

    present: bool
    enabled: bool


def query_kvm_level(context: ProofContext, qemu: str) -> ProofLevel:
    """Start QEMU with an empty machine and ask it `query-kvm` (QEMU's qapi/accelerator.json)."""
    if context.refusal is not None:
        return query_outcome(Outcome.UNKNOWN, context.refusal, remedy=context.refusal_remedy)
    started = time.monotonic()
    try:
        with (
            private_directory() as directory,
            _listening_socket(directory / SOCKET) as listener,
        ):
            hand_over(directory, context.identity)
            with emulator_process((qemu, *ARGUMENTS), directory, context.identity) as emulator:
                return _asked(context, listener, emulator, started)
    except OSError as error:
        trouble = not_started(error)
        return query_outcome(Outcome.FAIL, trouble.found, remedy=trouble.remedy)


def query_outcome(
    outcome: Outcome, found: Words, *, seconds: float | None = None, remedy: Words | None = None
) -> ProofLevel:
    """A level of this file, with its id and title."""
    return ProofLevel(
        id="query-kvm",
        title=say("QEMU says it uses KVM"),
        outcome=outcome,
        found=found,
        seconds=seconds,
        remedy=remedy,
    )


def judged_answer(answer: KvmAnswer, seconds: float) -> ProofLevel:
    """What the answer to `query-kvm` means."""
    if answer.present and answer.enabled:
        found = say("Asked over QMP, QEMU says: KVM is present and in use.")
        return query_outcome(Outcome.PASS, found, seconds=seconds)
    if answer.present:
        found = say("Asked over QMP, QEMU says: KVM is present, but not in use.")
    else:
        found = say("Asked over QMP, QEMU says: this QEMU has no KVM.")
    remedy = other_qemu_remedy()
    return query_outcome(Outcome.FAIL, found, seconds=seconds, remedy=remedy)


def _asked(
    context: ProofContext, listener: socket.socket, emulator: EmulatorProcess, started: float
) -> ProofLevel:
    connections: list[socket.socket] = []

    def connected() -> bool:
        try:
            connections.append(listener.accept()[0])
        except BlockingIOError:
            return False
        return True

    def tell(seconds: int) -> None:
        context.on_progress(
            say(
                "QEMU is asked whether it uses KVM: {seconds} s so far, at most {limit} s.",
                seconds=seconds,
                limit=int(CONNECT_SECONDS),
            )
        )

    end = emulator.wait(context, CONNECT_SECONDS, connected, tell)
    answer = None
    if end is WaitEnd.REACHED:
        with connections[0] as connection:
            answer = _answer(connection)
    seconds = time.monotonic() - started
    if isinstance(answer, KvmAnswer):
        return judged_answer(answer, seconds)
    if end is WaitEnd.CANCELLED:
        found, remedy = say("Stopped before it was done."), say("Try again: kvmwizard verify")
        return query_outcome(Outcome.UNKNOWN, found, seconds=seconds, remedy=remedy)
    if end is WaitEnd.TIMED_OUT:
        trouble = _no_answer(CONNECT_SECONDS)
    else:
        # QEMU connects before it opens /dev/kvm: where that fails it hangs up, and says why as it ends.
        emulator.wait(context, END_SECONDS, lambda: False, tell)
        trouble = _why_no_answer(context, emulator, answer)
    return query_outcome(Outcome.FAIL, trouble.found, seconds=seconds, remedy=trouble.remedy)


def _why_no_answer(context: ProofContext, emulator: EmulatorProcess, heard: Trouble | None) -> Trouble:
    """What QEMU printed says most, then how it ended, then what was heard over QMP."""
    output = emulator.output()
    if heard is None or emulator.returncode:
        heard = unexpected_end(emulator.returncode, output)
    return trouble_in(output, context) or heard


def _answer(connection: socket.socket) -> KvmAnswer | Trouble:
    # asyncio and qemu.qmp cost a tenth of a second at import, and only this level needs them.
    import asyncio  # noqa: PLC0415  -- see above

    from qemu.qmp import QMPError  # noqa: PLC0415  -- see above

    from kvmwizard.proof.qmp import query_kvm  # noqa: PLC0415  -- see above

    try:
        present, enabled = asyncio.run(query_kvm(connection, ANSWER_SECONDS))
    except TimeoutError:
        return _no_answer(ANSWER_SECONDS)
    except (QMPError, OSError, EOFError, ValueError) as error:
        found = say("QEMU did not answer over QMP as it should: {reason}", reason=str(error))
        return Trouble(found, other_qemu_remedy())
    return KvmAnswer(present=present, enabled=enabled)


def _no_answer(limit: float) -> Trouble:
    found = say("QEMU did not answer over QMP within {limit} seconds.", limit=int(limit))
    return Trouble(found, try_again_remedy())


def _listening_socket(path: Path) -> socket.socket:
    """A socket that QEMU connects to. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    # Its directory keeps everyone but the user out.
    path.chmod(0o666)
    listener.listen(1)
    listener.setblocking(False)
    return listener
