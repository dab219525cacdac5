"""What holds of every machine: the same ids, whole sentences, no guess from the unknown."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from kvmwizard.checks.judge import is_ready, judge
from kvmwizard.checks.results import CheckResult, Mend, Outcome
from kvmwizard.host.facts import Facts
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.reading import Unknown, UnknownReason
from tests.checks.machines import BY_BOB, FAULTY, NO_GUEST, REFUSED, SOUND
from tests.facts_builder import NOT_SHOWN, make_facts, module_states, node, with_fields

MACHINES = {**{name: faulty.facts for name, faulty in FAULTY.items()}, **SOUND}
IDS = tuple(result.id for result in judge(make_facts()))
EPYC_WITHOUT_DEVICE = SOUND["EPYC"].model_copy(
    update={"kvm": SOUND["EPYC"].kvm.model_copy(update={"sev": False})}
)
NEEDS_REMEDY = (Outcome.WARN, Outcome.FAIL)


def outcome(facts: Facts, check_id: str) -> Outcome:
    return found(facts, check_id).outcome


def found(facts: Facts, check_id: str) -> CheckResult:
    return next(result for result in judge(facts) if result.id == check_id)


def unknown_variants() -> Iterator[tuple[str, str, Unknown]]:
    """Every field of the facts that may be unknown, for every reason."""
    for subject in Facts.model_fields:
        model = getattr(make_facts(), subject)
        for name, field in getattr(type(model), "model_fields", {}).items():
            if "Unknown" in str(field.annotation):
                for reason in UnknownReason:
                    yield subject, name, Unknown(unknown=reason, detail="/some/place")


def test_ids_are_unique() -> None:
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("facts", MACHINES.values(), ids=MACHINES.keys())
def test_every_machine_gets_the_same_checks_in_whole_sentences(facts: Facts) -> None:
    results = judge(facts)
    assert tuple(result.id for result in results) == IDS
    for result in results:
        assert (result.remedy is not None) or result.outcome not in NEEDS_REMEDY, result.id
        for words in filter(None, (result.title, result.found, result.why, result.remedy)):
            assert str(words) == words.english
            assert "{" not in words.english
            assert "Unknown(" not in words.english


@pytest.mark.parametrize("facts", MACHINES.values(), ids=MACHINES.keys())
def test_the_same_facts_give_the_same_results(facts: Facts) -> None:
    assert judge(facts) == judge(facts)


def test_anything_may_be_unknown() -> None:
    variants = list(unknown_variants())
    assert len(variants) > 200
    for subject, name, reading in variants:
        healthy = make_facts()
        changed = with_fields(getattr(healthy, subject), {name: reading})
        results = judge(healthy.model_copy(update={subject: changed}))
        assert tuple(result.id for result in results) == IDS
        if (subject, name) != ("kvm", "guest"):
            assert is_ready(results), (
                f"{subject}.{name} unknown ({reading.unknown}) is no fault where a guest ran"
            )


def test_the_unknown_is_said_with_its_reason_and_how_to_learn_it() -> None:
    hidden = Unknown(unknown=UnknownReason.NOT_PERMITTED, detail="/dev/cpu/0/msr: Permission denied")
    facts = make_facts(
        firmware={"virtualization": hidden}, kvm=NO_GUEST, modules=module_states(kvm_intel=NOT_SHOWN)
    )
    silent = make_facts(
        firmware={"virtualization": hidden},
        kvm={**NO_GUEST, "node": NOT_SHOWN, "opened": NOT_SHOWN},
        modules=module_states(kvm_intel=NOT_SHOWN),
    )
    assert outcome(facts, "firmware.virtualization") is Outcome.PASS
    result = found(silent, "firmware.virtualization")
    assert result.outcome is Outcome.UNKNOWN
    assert "/dev/cpu/0/msr" in result.found.english
    assert "as root" in str(result.remedy)


def test_what_only_another_user_may_open_was_not_tried() -> None:
    """Bob asks for Alice; on a machine that has a trial guest, and a right version."""
    facts = make_facts(kvm=REFUSED, users=BY_BOB)
    for check_id in ("kvm.device.opens", "kvm.api", "kvm.guest"):
        (result,) = (each for each in judge(facts, "alice") if each.id == check_id)
        assert result.outcome is Outcome.NOT_APPLICABLE
        assert str(result.found) == "Not tried: bob, who runs this, may not open /dev/kvm. Run it as alice."


@pytest.mark.parametrize(
    ("facts", "check_id", "expected", "mend"),
    [
        (make_facts(qemu={"binaries": ()}), "qemu.installed", Outcome.WARN, Mend.INSTALL_QEMU),
        (
            make_facts(kvm={"vhost_net": None}, modules=module_states(vhost_net=ModuleState.AVAILABLE)),
            "network.vhost_net",
            Outcome.WARN,
            Mend.LOAD_MODULE,
        ),
        (
            make_facts(kvm={"tun": None}, modules=module_states(tun=ModuleState.ABSENT)),
            "network.tun",
            Outcome.WARN,
            None,
        ),
        (
            make_facts(iommu={"groups": 0, "units": (), "parameters": ()}),
            "iommu.enabled",
            Outcome.WARN,
            Mend.ENABLE_IOMMU,
        ),
        (
            make_facts(
                iommu={"groups": 0, "units": (), "parameters": ()},
                distribution={"boot_loader": "systemd-boot"},
            ),
            "iommu.enabled",
            Outcome.WARN,
            None,
        ),
        (
            make_facts(iommu={"groups": 0, "units": (), "parameters": ("intel_iommu=off",)}),
            "iommu.enabled",
            Outcome.WARN,
            None,
        ),
        (make_facts(iommu={"tables": (), "groups": 0, "units": ()}), "iommu.present", Outcome.WARN, None),
        (
            make_facts(iommu={"tables": (), "groups": 0, "units": ()}, environment={"hypervisor": "kvm"}),
            "iommu.present",
            Outcome.NOT_APPLICABLE,
            None,
        ),
        (make_facts(cgroups={"controllers": ("cpu",)}), "cgroup.devices", Outcome.WARN, None),
        (
            make_facts(cgroups={"layout": "none", "controllers": ()}),
            "cgroup.devices",
            Outcome.NOT_APPLICABLE,
            None,
        ),
        (
            make_facts(iommu={"tables": ("IVRS",), "groups": 0, "units": (), "parameters": ()}),
            "iommu.enabled",
            Outcome.WARN,
            None,
        ),
        (make_facts(), "secure_guest.support", Outcome.NOT_APPLICABLE, None),
        (EPYC_WITHOUT_DEVICE, "secure_guest.support", Outcome.WARN, None),
        (make_facts(disk={"root_free": 1 << 20}), "disk.space", Outcome.WARN, None),
        (make_facts(memory={"available": 1 << 20}), "memory", Outcome.WARN, None),
        (
            make_facts(
                kvm={"vhost_net": None},
                modules={**module_states(vhost_net=ModuleState.AVAILABLE), "loadable": False},
            ),
            "network.vhost_net",
            Outcome.WARN,
            None,
        ),
        (FAULTY["kernel without KVM"].facts, "kernel.options", Outcome.WARN, None),
        (make_facts(kernel={"options": {"KVM": "n"}}), "kernel.options", Outcome.PASS, None),
        (SOUND["EPYC"], "secure_guest.support", Outcome.PASS, None),
        (SOUND["IBM Z"], "secure_guest.support", Outcome.PASS, None),
        (SOUND["ARM"], "processor.virtualization", Outcome.NOT_APPLICABLE, None),
        (SOUND["ARM"], "firmware.virtualization", Outcome.NOT_APPLICABLE, None),
        (SOUND["ARM"], "kvm.guest", Outcome.NOT_APPLICABLE, None),
        (SOUND["POWER"], "processor.virtualization", Outcome.PASS, None),
        (SOUND["POWER"], "iommu.present", Outcome.PASS, None),
        (make_facts(modules={"ept": False}), "processor.second_level_paging", Outcome.WARN, None),
        (make_facts(modules={"nested": False}), "nested", Outcome.PASS, None),
        (make_facts(firmware={"secure_boot": True}), "secure_boot", Outcome.PASS, None),
        (make_facts(firmware={"uefi": False}), "secure_boot", Outcome.NOT_APPLICABLE, None),
        (make_facts(disk={"boot_free": 1 << 20}), "disk.space", Outcome.WARN, None),
        (SOUND["VirtualBox loaded, and a guest runs"], "other_hypervisor", Outcome.WARN, None),
    ],
)
def test_what_stands_beside_the_chain(
    facts: Facts, check_id: str, expected: Outcome, mend: Mend | None
) -> None:
    result = found(facts, check_id)
    assert (result.outcome, result.mend) == (expected, mend)


def test_kernels_that_hold_the_extension_from_load_are_told_of() -> None:
    held = make_facts(modules={**module_states(vboxdrv=ModuleState.LOADED), "enable_virt_at_load": True})
    assert "kvm.enable_virt_at_load=0" in str(found(held, "other_hypervisor").remedy)


def test_the_policy_that_enforces_is_named() -> None:
    assert (
        "SELinux enforces"
        in found(make_facts(security={"selinux": "enforcing"}), "security.policy").found.english
    )
    assert "AppArmor is on" in found(make_facts(), "security.policy").found.english


def test_the_first_register_is_shown_where_the_firmware_locked() -> None:
    facts = FAULTY["locked off by the firmware, flag shown (Linux before 5.6)"].facts
    assert "0x1" in found(facts, "firmware.virtualization").found.english


def test_a_group_without_a_name_is_shown_by_its_number() -> None:
    assert (
        "group 4321"
        in found(make_facts(kvm={"node": node(group=(4321, None))}), "kvm.device.exists").found.english
    )


def test_judging_takes_a_few_milliseconds() -> None:
    facts = make_facts()
    times = []
    for _ in range(9):
        begun = time.perf_counter()
        judge(facts)
        times.append(time.perf_counter() - begun)
    assert statistics.median(times) < 0.02


def test_neither_textual_nor_asyncio_is_imported() -> None:
    program = (
        "import kvmwizard.checks.text, kvmwizard.checks.json, sys;"
        "print([name for name in ('textual', 'qemu', 'asyncio') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
