"""What the levels mean together: above all, whether it is QEMU or KVM that is broken."""

from collections.abc import Iterable, Mapping

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.model import LevelId, ProofLevel
from kvmwizard.words import Words, say

GOOD = (Outcome.PASS, Outcome.NOT_APPLICABLE)
# A QEMU that needs KVM, or is waiting for a restart, does not make KVM worse.
NEEDED: tuple[LevelId, ...] = ("tiny-guest", "qemu-with-kvm", "query-kvm")


def is_good(levels: Iterable[ProofLevel]) -> bool:
    """Whether guests run: every level that needs KVM passed or does not apply, and QEMU uses KVM."""
    outcomes = _outcomes(levels)
    return all(outcomes.get(level) in GOOD for level in NEEDED) and outcomes["query-kvm"] is Outcome.PASS


def verdict(levels: tuple[ProofLevel, ...], user: str, qemu: str | None) -> Words:
    """One sentence over all levels."""
    outcomes = _outcomes(levels)
    if is_good(levels):
        return say("KVM works: {qemu} runs guests with it as {user}.", qemu=qemu or "", user=user)
    if outcomes["tiny-guest"] is Outcome.UNKNOWN:
        return say("Nothing is proved yet: guests could not be tried as {user}.", user=user)
    if outcomes["tiny-guest"] is Outcome.FAIL:
        return _without_kvm(outcomes, user)
    if qemu is None:
        return say("KVM works as {user}, but no QEMU is here to run guests with.", user=user)
    if Outcome.UNKNOWN in (outcomes["qemu-with-kvm"], outcomes["query-kvm"]):
        return say("The proof was stopped before it was done.")
    return _with_kvm(outcomes, qemu)


def _without_kvm(outcomes: Mapping[LevelId, Outcome], user: str) -> Words:
    if outcomes["qemu-without-kvm"] is Outcome.PASS:
        return say("KVM does not work for {user}. QEMU itself is sound: it boots without KVM.", user=user)
    if outcomes["qemu-without-kvm"] is Outcome.FAIL:
        return say(
            "KVM does not work for {user}, and QEMU is broken too: it does not boot even without KVM.",
            user=user,
        )
    return say("KVM does not work for {user}.", user=user)


def _with_kvm(outcomes: Mapping[LevelId, Outcome], qemu: str) -> Words:
    if outcomes["tiny-guest"] is not Outcome.PASS:
        return say("KVM is not proved: {qemu} does not run guests with it.", qemu=qemu)
    if outcomes["qemu-without-kvm"] is Outcome.FAIL:
        return say("KVM works, but {qemu} is broken: it does not boot even without KVM.", qemu=qemu)
    if outcomes["qemu-with-kvm"] is not Outcome.FAIL:
        return say("KVM works, but {qemu} does not use it.", qemu=qemu)
    if outcomes["qemu-without-kvm"] is Outcome.PASS:
        return say(
            "KVM runs a small guest, and {qemu} boots a disk without KVM, but it does not boot one with KVM.",
            qemu=qemu,
        )
    return say("KVM runs a small guest, but {qemu} does not boot a disk with it.", qemu=qemu)


def _outcomes(levels: Iterable[ProofLevel]) -> dict[LevelId, Outcome]:
    return {level.id: level.outcome for level in levels}
