"""The first level: our own few-instruction guest, without QEMU."""

import time

from kvmwizard.checks.results import Outcome
from kvmwizard.host.guest import run_guest
from kvmwizard.host.reading import Unknown, UnknownReason
from kvmwizard.proof.context import ProofContext
from kvmwizard.proof.model import ProofLevel
from kvmwizard.proof.remedies import device_remedy, try_again_remedy
from kvmwizard.words import Words, say, say_many

GUEST_SECONDS = 20.0


def tiny_guest_level(context: ProofContext) -> ProofLevel:
    """Run a few instructions through /dev/kvm as the user."""
    if context.refusal is not None:
        return _level(Outcome.UNKNOWN, context.refusal, None, context.refusal_remedy)
    context.on_progress(
        say("A guest of a few instructions runs as {user}; at most {limit} s.", user=context.user, limit=20)
    )
    started = time.monotonic()
    reading = run_guest(GUEST_SECONDS, context.identity)
    seconds = time.monotonic() - started
    if isinstance(reading, Unknown):
        return _unknown_level(reading, seconds)
    if not reading.ran:
        problem = reading.problem or ""
        return _level(
            Outcome.FAIL,
            say("The guest did not run as {user}: {problem}.", user=context.user, problem=problem),
            seconds,
            device_remedy(problem, context),
        )
    return _level(
        Outcome.PASS,
        say_many(
            "{instructions} instructions, {count} exit, {milliseconds} ms, as {user}",
            "{instructions} instructions, {count} exits, {milliseconds} ms, as {user}",
            reading.exits,
            instructions=reading.instructions,
            milliseconds=f"{reading.milliseconds:.1f}",
            user=context.user,
        ),
        seconds,
    )


def _unknown_level(reading: Unknown, seconds: float) -> ProofLevel:
    if reading.unknown is UnknownReason.NOT_SHOWN:
        return _level(Outcome.NOT_APPLICABLE, say("This guest is written for x86-64 processors."), None)
    if reading.unknown is UnknownReason.TIMED_OUT:
        return _level(
            Outcome.FAIL,
            say("The guest did not end within {limit} seconds.", limit=int(GUEST_SECONDS)),
            seconds,
            try_again_remedy(),
        )
    return _level(
        Outcome.UNKNOWN,
        say("The guest could not be tried: {detail}", detail=reading.detail),
        seconds,
        say("See what this machine lacks for KVM: kvmwizard check"),
    )


def _level(outcome: Outcome, found: Words, seconds: float | None, remedy: Words | None = None) -> ProofLevel:
    return ProofLevel(
        id="tiny-guest",
        title=say("Guest through /dev/kvm"),
        outcome=outcome,
        found=found,
        seconds=seconds,
        remedy=remedy,
    )
