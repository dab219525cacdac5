"""The recorded machines of tests/hosts, judged."""

from pathlib import Path

import pytest

from kvmwizard.checks.judge import is_ready, judge
from kvmwizard.checks.results import Cause, Outcome
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from tests.facts_builder import make_facts

MACHINES = Path(__file__).parents[1] / "hosts"
FAULTS: dict[str, tuple[str, Cause] | None] = {
    "aarch64-debian-12": None,
    "amd-fedora-41": None,
    "debian-12-kvm-pvm": None,
    "docker-container": ("kvm.device.exists", Cause.CONTAINER),
    "guest-without-nesting": ("processor.virtualization", Cause.NO_NESTING),
    "intel-debian-12": None,
    "intel-firmware-off": ("firmware.virtualization", Cause.FIRMWARE),
    "rhel-7.3": None,
    "riscv64-guest": ("kvm.module", Cause.MODULE_NOT_LOADED),
    "s390x-debian-12": None,
}


def test_every_recorded_machine_is_judged_here() -> None:
    assert {path.name for path in MACHINES.iterdir() if path.is_dir()} == set(FAULTS)


@pytest.mark.parametrize(("name", "fault"), FAULTS.items(), ids=FAULTS.keys())
def test_a_recorded_machine_has_the_fault_that_it_was_recorded_for(
    name: str, fault: tuple[str, Cause] | None
) -> None:
    results = judge(gather(Host(MACHINES / name)))
    failed = [(result.id, result.cause) for result in results if result.outcome is Outcome.FAIL]
    assert failed == ([] if fault is None else [fault])
    assert is_ready(results) is (fault is None)
    assert [result.id for result in results] == [result.id for result in judge(make_facts())]


def test_what_only_a_running_kernel_can_say_is_unknown() -> None:
    outcomes = {result.id: result.outcome for result in judge(gather(Host(MACHINES / "intel-debian-12")))}
    assert outcomes["kvm.guest"] is outcomes["kvm.device.opens"] is Outcome.UNKNOWN


def test_an_ordinary_user_on_the_recorded_kvm_pvm_machine_lacks_permission_and_nothing_else() -> None:
    facts = gather(Host(MACHINES / "debian-12-kvm-pvm"))
    accounts = facts.users.accounts
    assert isinstance(accounts, tuple)
    ordinary = [account.name for account in accounts if account.id != 0]
    assert ordinary, "the recording has an ordinary account"
    results = judge(facts, ordinary[0])
    assert [(r.id, r.cause) for r in results if r.outcome is Outcome.FAIL] == [
        ("access.user", Cause.PERMISSION)
    ]
