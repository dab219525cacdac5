"""Runs QEMU so that nothing of it is left behind, whatever happens to us."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from functools import cache
from pathlib import Path

from kvmwizard.host.host import command_environment
from kvmwizard.host.identity import Identity
from kvmwizard.proof.context import ProofContext

# Not TMPDIR: the user whom QEMU runs as must be able to enter it, and the
# path of a socket has room for 107 bytes.
TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108  -- mkdtemp makes a private directory in it
POLL_SECONDS = 0.1
PROGRESS_SECONDS = 1.0
MOST_OUTPUT_BYTES = 256 * 1024


class WaitEnd(Enum):
    """Why a wait for QEMU was over."""

    ENDED = auto()
    """QEMU ended by itself."""
    REACHED = auto()
    """What was waited for came about."""
    TIMED_OUT = auto()
    CANCELLED = auto()


class EmulatorProcess:
    """A running QEMU. Its standard output and error are kept together."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self._process = process
        self._output = output

    @property
    def returncode(self) -> int | None:
        """As subprocess says it: negative for a signal; None while it runs."""
        return self._process.returncode

    def output(self) -> str:
        """What it has printed so far, from the beginning."""
        return os.pread(self._output, MOST_OUTPUT_BYTES, 0).decode(errors="backslashreplace")

    def wait(
        self,
        context: ProofContext,
        seconds: float,
        reached: Callable[[], bool],
        on_second: Callable[[int], None],
    ) -> WaitEnd:
        """Wait until QEMU ends, `reached()` is true, the time is up or the proof is cancelled.

        `on_second` is told at once, then every second, how many seconds have passed.
        """
        started = time.monotonic()
        told = started
        on_second(0)
        while True:
            ended = self._ended_within(POLL_SECONDS)
            if reached():
                return WaitEnd.REACHED
            if ended:
                return WaitEnd.ENDED
            now = time.monotonic()
            if context.cancelled.is_set():
                return WaitEnd.CANCELLED
            if now - started >= seconds:
                return WaitEnd.TIMED_OUT
            if now - told >= PROGRESS_SECONDS:
                told = now
                on_second(int(now - started))

    def _ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def emulator_process(
    argv: Sequence[str], directory: Path, identity: Identity | None
) -> Iterator[EmulatorProcess]:
    """Start QEMU in `directory`, as `identity` if given; kill it and its children at the end.

    Raises:
        OSError: it could not be started.
    """
    with tempfile.TemporaryFile(dir=TEMPORARY_DIRECTORY) as output:
        process = subprocess.Popen(
            [*_dies_with_us(), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=command_environment(),
            # A session of its own, so that a key press on our terminal does not reach it.
            start_new_session=True,
            user=identity.user_id if identity else None,
            group=identity.group_id if identity else None,
            extra_groups=identity.group_ids if identity else None,
        )
        try:
            yield EmulatorProcess(process, output.fileno())
        finally:
            _kill_group(process)


@contextmanager
def private_directory() -> Iterator[Path]:
    """A new directory of mode 0700, removed at the end. Raises OSError."""
    directory = Path(tempfile.mkdtemp(prefix="kvmwizard-proof-", dir=TEMPORARY_DIRECTORY))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def hand_over(directory: Path, identity: Identity | None) -> None:
    """Give the directory to whom QEMU runs as. Raises OSError.

    Nothing may be written to it afterwards: root would follow a link that the
    user has put there meanwhile.
    """
    if identity is not None:
        os.chown(directory, identity.user_id, identity.group_id)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs; once it has been waited for, its number may be someone else's."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@cache
def _dies_with_us() -> tuple[str, ...]:
    """The words before a command that let the kernel kill it when we die (prctl(2), PR_SET_PDEATHSIG).

    Empty where setpriv(1) is missing, or is one that cannot do it (BusyBox).
    """
    environment = command_environment()
    setpriv = shutil.which("setpriv", path=environment["PATH"])
    if setpriv is None:
        return ()
    options = subprocess.run(
        [setpriv, "--help"], stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False
    )
    return (setpriv, "--pdeathsig", "KILL", "--") if b"--pdeathsig" in options.stdout else ()
