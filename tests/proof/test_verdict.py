import pytest

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.model import LevelId, ProofLevel
from kvmwizard.proof.verdict import is_good, verdict
from kvmwizard.words import say

PASS, FAIL, UNKNOWN, ELSEWHERE = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE
QEMU = "/usr/bin/qemu-system-x86_64"
IDS: tuple[LevelId, ...] = ("tiny-guest", "qemu-without-kvm", "qemu-with-kvm", "query-kvm")


def levels(*outcomes: Outcome) -> tuple[ProofLevel, ...]:
    return tuple(
        ProofLevel(id=level_id, title=say("title"), outcome=outcome, found=say("found"))
        for level_id, outcome in zip(IDS, outcomes, strict=True)
    )


@pytest.mark.parametrize(
    ("outcomes", "good", "words"),
    [
        ((PASS, PASS, PASS, PASS), True, "KVM works"),
        ((PASS, ELSEWHERE, PASS, PASS), True, "KVM works"),
        ((ELSEWHERE, ELSEWHERE, ELSEWHERE, PASS), True, "KVM works"),
        ((PASS, FAIL, PASS, PASS), True, "KVM works"),
        ((FAIL, PASS, FAIL, FAIL), False, "KVM does not work for ann. QEMU itself is sound"),
        ((FAIL, FAIL, FAIL, FAIL), False, "KVM does not work for ann, and QEMU is broken too"),
        ((FAIL, ELSEWHERE, FAIL, FAIL), False, "KVM does not work for ann."),
        ((PASS, FAIL, FAIL, FAIL), False, f"KVM works, but {QEMU} is broken"),
        ((PASS, PASS, FAIL, PASS), False, "it does not boot one with KVM"),
        ((PASS, ELSEWHERE, FAIL, PASS), False, f"{QEMU} does not boot a disk with it"),
        ((PASS, PASS, PASS, FAIL), False, f"KVM works, but {QEMU} does not use it"),
        ((ELSEWHERE, ELSEWHERE, ELSEWHERE, FAIL), False, f"KVM is not proved: {QEMU}"),
        ((UNKNOWN, PASS, UNKNOWN, UNKNOWN), False, "Nothing is proved yet"),
        ((PASS, PASS, UNKNOWN, UNKNOWN), False, "The proof was stopped"),
    ],
)
def test_broken_qemu_and_broken_kvm_are_told_apart(
    outcomes: tuple[Outcome, ...], good: bool, words: str
) -> None:
    tried = levels(*outcomes)
    assert is_good(tried) is good
    assert words in verdict(tried, "ann", QEMU).english


def test_without_qemu_kvm_alone_is_proved() -> None:
    tried = levels(PASS, UNKNOWN, UNKNOWN, UNKNOWN)
    assert not is_good(tried)
    assert verdict(tried, "ann", None).english == "KVM works as ann, but no QEMU is here to run guests with."


def test_a_kernel_that_waits_for_a_restart_does_not_make_kvm_worse() -> None:
    waiting = ProofLevel(id="kernel", title=say("title"), outcome=UNKNOWN, found=say("found"))
    assert is_good((waiting, *levels(PASS, PASS, PASS, PASS)))
