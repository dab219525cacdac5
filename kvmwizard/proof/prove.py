"""Proves that guests run, level by level, and tells a broken QEMU from a broken KVM."""

import os
import threading
from collections.abc import Callable, Iterator
from itertools import chain

from kvmwizard.checks.results import Outcome
from kvmwizard.host.kernel import running_release
from kvmwizard.proof.boot import boot_level, boot_outcome
from kvmwizard.proof.choose import guest_command_line
from kvmwizard.proof.context import ProofContext, proof_context
from kvmwizard.proof.model import Proof, ProofLevel
from kvmwizard.proof.query import query_kvm_level, query_outcome
from kvmwizard.proof.tiny import tiny_guest_level
from kvmwizard.proof.verdict import is_good, verdict
from kvmwizard.words import Words, say


def prove(  # noqa: PLR0913  -- each is one thing that some front end wants of a proof
    qemu: str | None,
    user: str | None,
    on_progress: Callable[[Words], None],
    cancelled: threading.Event | None = None,
    *,
    expected_kernel: str | None = None,
    not_started: Words | None = None,
    on_level: Callable[[ProofLevel], None] | None = None,
) -> Proof:
    """Run every level, at most some five minutes; usually a few seconds. Changes nothing.

    Args:
        qemu: the path of the QEMU binary; None where there is none.
        user: whom the guests are for; None for the caller. Root proves for anyone, others for themselves.
        on_progress: told, from this thread, what is being waited for, at least once a second.
        cancelled: when set, the level under way is stopped, and the rest is left unknown.
        expected_kernel: the release that shall be running, where a kernel was installed.
        not_started: what is to be said of that kernel where the machine was restarted and it does not run;
            None where the restart is still to come.
        on_level: given each level, from this thread, as soon as it is finished.
    """
    context = proof_context(user, on_progress, cancelled)
    levels: list[ProofLevel] = []
    started: list[ProofLevel] = []
    if expected_kernel is not None:
        started = [_kernel_level(expected_kernel, not_started)]
    for level in chain(started, _levels(context, qemu)):
        levels.append(level)
        if on_level is not None:
            on_level(level)
    return Proof(
        user=context.user,
        qemu=qemu,
        levels=tuple(levels),
        good=is_good(levels),
        verdict=verdict(tuple(levels), context.user, qemu),
        command_line=guest_command_line(qemu, os.uname().machine) if qemu is not None else (),
    )


def _levels(context: ProofContext, qemu: str | None) -> Iterator[ProofLevel]:
    """Every level in its order, each carried out when it is asked for."""
    yield tiny_guest_level(context)
    if qemu is None:
        found = say("No QEMU was found on this machine.")
        remedy = say("Run kvmwizard: it installs QEMU.")
        yield boot_outcome(Outcome.UNKNOWN, found, with_kvm=False, remedy=remedy)
        yield boot_outcome(Outcome.UNKNOWN, found, with_kvm=True, remedy=remedy)
        yield query_outcome(Outcome.UNKNOWN, found, remedy=remedy)
        return
    architecture = os.uname().machine
    yield boot_level(context, qemu, architecture, with_kvm=False)
    yield boot_level(context, qemu, architecture, with_kvm=True)
    yield query_kvm_level(context, qemu)


def _kernel_level(expected: str, not_started: Words | None) -> ProofLevel:
    running = running_release()
    if running == expected:
        return _kernel_outcome(Outcome.PASS, say("Linux {running} is running.", running=running))
    if not_started is not None:
        remedy = say("To go on, or to try it once more: kvmwizard apply. To take all back: kvmwizard undo")
        return _kernel_outcome(Outcome.FAIL, not_started, remedy)
    return _kernel_outcome(
        Outcome.UNKNOWN,
        say(
            "Linux {running} is still running; {expected} runs after a restart.",
            running=running,
            expected=expected,
        ),
        say("Restart the machine, then open kvmwizard again, or run: kvmwizard verify"),
    )


def _kernel_outcome(outcome: Outcome, found: Words, remedy: Words | None = None) -> ProofLevel:
    return ProofLevel(
        id="kernel", title=say("Installed kernel runs"), outcome=outcome, found=found, remedy=remedy
    )
