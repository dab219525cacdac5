"""Which steps a plan has, on which machine and for which answers."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from kvmwizard.answers import Answers
from kvmwizard.host.facts import Facts
from kvmwizard.host.firmware import FirmwareLock
from kvmwizard.host.modules import ModuleState
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import (
    DeviceGroup,
    FileMentions,
    PackageListsFresh,
    PackagesInstalled,
    Plan,
    RunCommand,
    WriteFile,
    canonical_json,
    plan_digest,
)
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.run import root_helper
from tests.facts_builder import NOT_PERMITTED, make_facts, module_states, node
from tests.plan.answers import A_KERNEL, make_answers

QEMU = "/usr/bin/qemu-system-x86_64"
NO_GROUP: Mapping[str, object] = {"kvm_group": None, "kvm_group_id": None}
BARE_DEVICE: Mapping[str, object] = {"node": node(0o600, group=(0, "root"))}


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


def commands(plan: Plan, step_id: str) -> list[str]:
    return [" ".join(action.argv) for action in plan.step(step_id).actions if isinstance(action, RunCommand)]


def texts(plan: Plan, step_id: str) -> list[str]:
    return [action.text for action in plan.step(step_id).actions if isinstance(action, WriteFile)]


def notes(plan: Plan) -> str:
    return "\n".join(note.english for note in plan.notes)


def bare_facts(
    modules: Mapping[str, object] | None = None,
    distribution: Mapping[str, object] | None = None,
    iommu: Mapping[str, object] | None = None,
) -> Facts:
    """No modules, no udev, no group, /dev/kvm root's alone, but for what is given."""
    built_in = module_states(kvm=ModuleState.BUILT_IN, tun=ModuleState.BUILT_IN)
    return make_facts(
        modules=modules or {**built_in, "loadable": False},
        kvm=BARE_DEVICE,
        users=NO_GROUP,
        distribution=distribution or {"udev_running": False},
        iommu=iommu or {},
    )


def test_a_bare_machine() -> None:
    plan = make_plan(bare_facts(), make_answers(modules=("tun", "vhost_net")))
    assert ids(plan) == [
        "packages.refresh",
        "packages.install",
        "access.group",
        "access.member",
        "access.rule",
        "access.device",
        "access.now",
        "access.prove",
    ]
    assert commands(plan, "access.group") == ["/usr/sbin/groupadd --system --force kvm"]
    assert commands(plan, "access.member") == ["/usr/bin/gpasswd --add bob kvm"]
    assert commands(plan, "access.rule") == []
    assert plan.step("access.device").conditions == (DeviceGroup(path="/dev/kvm", group="kvm", mode=0o660),)
    assert "udev is not running here" in notes(plan)
    assert "Built into the kernel, nothing to load: tun." in notes(plan)
    assert "takes no modules, so these are not loaded: vhost_net" in notes(plan)


def test_the_same_input_gives_the_same_plan() -> None:
    plans = {plan_digest(make_plan(bare_facts(), make_answers(extras=("image-tools",)))) for _ in range(3)}
    assert len(plans) == 1


def test_needs_are_steps_before() -> None:
    plan = make_plan(
        bare_facts(modules=module_states(kvm_intel=ModuleState.AVAILABLE)),
        make_answers(kernel=A_KERNEL, modules=("kvm_intel",), nested=False, extras=("libvirt",)),
    )
    seen: set[str] = set()
    for step in plan.steps:
        assert set(step.needs) <= seen, step.id
        seen.add(step.id)
    assert len(seen) == len(plan.steps)
    prove = plan.step("access.prove")
    assert {"modules.load", "access.member", "access.device", "access.now"} <= set(prove.needs)


def test_a_device_with_a_group_of_its_own_is_left_as_it_is() -> None:
    plan = make_plan(make_facts(), make_answers(local_qemu=QEMU))
    assert ids(plan) == ["access.member", "access.now", "access.prove"]
    assert not any("udev" in note.english for note in plan.notes)


def test_the_devices_group_is_never_assumed() -> None:
    facts = make_facts(
        kvm={"node": node(0o660, group=(478, "virtualizers"))}, users={"kvm_group": "virtualizers"}
    )
    plan = make_plan(facts, make_answers(local_qemu=QEMU))
    assert commands(plan, "access.member") == ["/usr/bin/gpasswd --add bob virtualizers"]


@pytest.mark.parametrize("group", [(0, "root"), (6, "disk"), (27, "sudo"), (42, "shadow"), (998, "docker")])
def test_nobody_is_put_into_a_group_that_makes_root(group: tuple[int, str]) -> None:
    plan = make_plan(make_facts(kvm={"node": node(0o660, group=group)}), make_answers(local_qemu=QEMU))
    assert commands(plan, "access.member") == ["/usr/bin/gpasswd --add bob kvm"]
    assert plan.step("access.device").conditions == (DeviceGroup(path="/dev/kvm", group="kvm", mode=0o660),)


def test_a_group_without_a_name_is_no_group() -> None:
    facts = make_facts(
        kvm={"node": node(0o660, group=(4242, None))}, users={"kvm_group": None, "kvm_group_id": 4242}
    )
    plan = make_plan(facts, make_answers(local_qemu=QEMU))
    assert ids(plan)[0] == "access.group"
    assert "access.rule" in ids(plan)


def test_an_own_group_without_rights_gets_them_and_a_rule() -> None:
    plan = make_plan(make_facts(kvm={"node": node(0o600)}), make_answers(local_qemu=QEMU))
    assert ids(plan) == ["access.member", "access.rule", "access.device", "access.now", "access.prove"]
    assert commands(plan, "access.rule") == [
        "/usr/bin/udevadm control --reload-rules",
        "/usr/bin/udevadm trigger --name-match=kvm",
        "/usr/bin/udevadm settle --timeout=10",
    ]
    assert 'KERNEL=="kvm", GROUP="kvm", MODE="0660"' in texts(plan, "access.rule")[0]


def test_a_device_open_to_all_needs_the_proof_alone() -> None:
    plan = make_plan(make_facts(kvm={"node": node(0o666, group=(36, "kvm"))}), make_answers(local_qemu=QEMU))
    assert ids(plan) == ["access.prove"]
    assert "Every user of this machine may use /dev/kvm already." in notes(plan)


def test_a_device_that_all_may_only_read_is_not_open_to_all() -> None:
    plan = make_plan(make_facts(kvm={"node": node(0o664)}), make_answers(local_qemu=QEMU))
    assert ids(plan) == ["access.member", "access.now", "access.prove"]


def test_root_needs_the_proof_alone() -> None:
    plan = make_plan(bare_facts(), make_answers(local_qemu=QEMU, user="root"))
    assert ids(plan) == ["access.prove"]
    assert "root may use /dev/kvm already." in notes(plan)


def test_without_the_list_entry_a_new_login_is_asked_for() -> None:
    plan = make_plan(make_facts(), make_answers(local_qemu=QEMU, now=False))
    assert "access.now" not in ids(plan)
    assert "log out and in again" in notes(plan)


def test_a_device_that_comes_with_its_module() -> None:
    facts = make_facts(
        kvm={"node": None},
        modules={**module_states(kvm=ModuleState.AVAILABLE, kvm_intel=ModuleState.AVAILABLE)},
        users=NO_GROUP,
    )
    plan = make_plan(facts, make_answers(local_qemu=QEMU, modules=("kvm_intel",)))
    assert ids(plan) == [
        "modules.load",
        "modules.boot",
        "access.group",
        "access.member",
        "access.rule",
        "access.device",
        "access.now",
        "access.prove",
    ]
    for step_id in ("access.device", "access.now", "access.prove"):
        assert "modules.load" in plan.step(step_id).needs


def test_systemds_own_rule_is_relied_on_for_a_new_device() -> None:
    facts = make_facts(kvm={"node": None}, modules=module_states(kvm_intel=ModuleState.AVAILABLE))
    plan = make_plan(facts, make_answers(local_qemu=QEMU, modules=("kvm_intel",)))
    assert "access.rule" not in ids(plan)
    assert "access.device" in ids(plan)


def test_a_device_that_nothing_brings() -> None:
    plan = make_plan(make_facts(kvm={"node": None}), make_answers(local_qemu=QEMU))
    assert ids(plan) == ["access.member"]
    assert "nothing in this plan brings it" in notes(plan)


def test_a_device_that_cannot_be_looked_at_is_taken_to_be_there() -> None:
    plan = make_plan(make_facts(kvm={"node": NOT_PERMITTED}), make_answers(local_qemu=QEMU))
    assert "access.device" in ids(plan)


def test_modules() -> None:
    facts = make_facts(
        modules=module_states(
            vhost_net=ModuleState.AVAILABLE, tun=ModuleState.BUILT_IN, kvm_pvm=ModuleState.ABSENT
        )
    )
    answers = make_answers(local_qemu=QEMU, modules=("kvm_intel", "vhost_net", "tun", "kvm_pvm"))
    plan = make_plan(facts, answers)
    assert commands(plan, "modules.load") == ["/sbin/modprobe kvm_intel", "/sbin/modprobe vhost_net"]
    assert texts(plan, "modules.boot") == ["# Written by kvmwizard.\nkvm_intel\nvhost_net\n"]


def test_what_the_new_kernel_brings_is_loaded_at_boot() -> None:
    facts = make_facts(modules=module_states(vhost_vsock=ModuleState.ABSENT))
    plan = make_plan(facts, make_answers(local_qemu=QEMU, kernel=A_KERNEL, modules=("vhost_vsock",)))
    assert "modules.load" not in ids(plan)
    assert texts(plan, "modules.boot") == ["# Written by kvmwizard.\nvhost_vsock\n"]


def test_a_container_loads_nothing() -> None:
    facts = make_facts(environment={"container": "docker"}, modules=module_states(tun=ModuleState.AVAILABLE))
    plan = make_plan(facts, make_answers(local_qemu=QEMU, modules=("tun",)))
    assert not any(step_id.startswith("modules.") for step_id in ids(plan))
    assert "A container cannot load modules" in notes(plan)
    with pytest.raises(PlanRefused, match="container has no kernel of its own"):
        make_plan(facts, make_answers(kernel=A_KERNEL))


@pytest.mark.parametrize(
    ("nested", "wanted", "state", "step", "note"),
    [
        (True, True, ModuleState.LOADED, False, ""),
        (True, None, ModuleState.LOADED, False, ""),
        (False, True, ModuleState.LOADED, True, "counts from the next restart"),
        (False, True, ModuleState.AVAILABLE, True, ""),
        (False, True, ModuleState.BUILT_IN, False, "kvm_intel.nested=1 to the kernel command line"),
        (True, False, ModuleState.LOADED, True, "counts from the next restart"),
    ],
)
def test_nesting(nested: bool, wanted: bool | None, state: ModuleState, step: bool, note: str) -> None:
    facts = make_facts(modules={**module_states(kvm_intel=state), "nested": nested})
    plan = make_plan(facts, make_answers(local_qemu=QEMU, nested=wanted))
    assert ("modules.options" in ids(plan)) is step
    assert note in notes(plan)
    if step:
        assert texts(plan, "modules.options") == [
            f"# Written by kvmwizard.\noptions kvm_intel nested={int(bool(wanted))}\n"
        ]


def test_the_iommu() -> None:
    facts = make_facts(iommu={"parameters": (), "groups": 0})
    plan = make_plan(facts, make_answers(local_qemu=QEMU, iommu=True))
    assert commands(plan, "boot.iommu") == ["/usr/sbin/update-grub"]
    assert (
        'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on"'
        in texts(plan, "boot.iommu")[0]
    )
    # The text alone is not enough: an update-grub that failed leaves the boot menu without it.
    assert (
        FileMentions(path="/boot/grub/grub.cfg", text="intel_iommu=on") in plan.step("boot.iommu").conditions
    )
    assert "after the next restart" in notes(plan)
    on_already = make_plan(make_facts(), make_answers(local_qemu=QEMU, iommu=True))
    assert "boot.iommu" not in ids(on_already)


def test_packages_are_installed_once_and_exactly() -> None:
    plan = make_plan(make_facts(), make_answers(extras=("image-tools", "uefi-firmware", "libvirt")))
    step = plan.step("packages.install")
    names = (
        "qemu-system-x86",
        "qemu-utils",
        "ovmf",
        "libvirt-daemon-system",
        "libvirt-clients",
        "dnsmasq-base",
    )
    assert step.conditions == (PackagesInstalled(manager="apt", names=names),)
    (command,) = commands(plan, "packages.install")
    assert command == (
        "/usr/bin/apt-get -o DPkg::Lock::Timeout=600 -o APT::Status-Fd=3 -o Dpkg::Use-Pty=0 "
        "-o Dpkg::Options::=--force-confold -o APT::Cmd::Pattern-Only=true "
        "install --yes --no-install-recommends -- " + " ".join(names)
    )
    assert step.lasting is not None
    assert step.seconds >= 40
    assert step.disk_bytes > 86_000_000


def test_a_local_qemu_needs_no_packages_but_for_extras() -> None:
    assert make_plan(make_facts(), make_answers(local_qemu="/opt/qemu/bin/qemu")).qemu == "/opt/qemu/bin/qemu"
    plan = make_plan(make_facts(), make_answers(local_qemu=QEMU, extras=("image-tools",)))
    assert commands(plan, "packages.install")[0].endswith("-- qemu-utils")


def test_the_kernel() -> None:
    plan = make_plan(make_facts(), make_answers(kernel=A_KERNEL))
    assert ids(plan)[:3] == ["packages.refresh", "packages.install", "kernel.install"]
    condition = PackagesInstalled(
        manager="apt", names=(A_KERNEL.package,), at_least={A_KERNEL.package: A_KERNEL.version}
    )
    assert plan.step("kernel.install").conditions == (condition,)
    (fresh,) = plan.step("packages.refresh").conditions
    assert isinstance(fresh, PackageListsFresh)
    assert fresh.wanted.names == ("qemu-system-x86", A_KERNEL.package)
    assert "after the next restart" in notes(plan)
    assert plan.kernel_release is None
    named = A_KERNEL.model_copy(update={"release": "6.12.117+deb12-amd64"})
    assert make_plan(make_facts(), make_answers(kernel=named)).kernel_release == "6.12.117+deb12-amd64"


def test_red_hats_kin() -> None:
    facts = bare_facts(
        distribution={
            "id": "rocky",
            "like": ("rhel", "centos", "fedora"),
            "package_manager": "dnf",
            "udev_running": True,
        }
    )
    plan = make_plan(facts, make_answers())
    assert commands(plan, "packages.install") == [
        "/usr/bin/dnf -y --setopt=install_weak_deps=False install qemu-kvm"
    ]
    assert commands(plan, "access.group") == ["/usr/sbin/groupadd --system --force --gid 36 kvm"]
    assert plan.qemu == "/usr/libexec/qemu-kvm"
    assert plan.only_shown is not None
    assert "dnf" in plan.only_shown.english
    assert make_plan(facts, make_answers(local_qemu=QEMU)).only_shown is None


def test_alpine() -> None:
    facts = bare_facts(
        distribution={"id": "alpine", "like": (), "package_manager": "apk", "udev_running": False}
    )
    plan = make_plan(facts, make_answers())
    assert commands(plan, "access.group") == ["/usr/sbin/addgroup -S kvm"]
    assert commands(plan, "access.member") == ["/usr/sbin/addgroup bob kvm"]


def test_arch_refreshes_with_the_installation() -> None:
    facts = make_facts(distribution={"id": "arch", "like": (), "package_manager": "pacman"})
    plan = make_plan(facts, make_answers())
    assert ids(plan)[0] == "packages.install"
    assert plan.step("packages.install").needs == ()


def test_another_architecture_is_not_proved_by_our_guest() -> None:
    facts = make_facts(processor={"architecture": "aarch64"})
    plan = make_plan(facts, make_answers(extras=("uefi-firmware",)))
    assert plan.qemu == "/usr/bin/qemu-system-aarch64"
    assert commands(plan, "packages.install")[0].endswith("-- qemu-system-arm qemu-efi-aarch64")
    assert "access.prove" not in ids(plan)
    assert "kvmwizard verify" in notes(plan)


def test_what_no_plan_can_mend_is_said() -> None:
    facts = make_facts(
        firmware={"virtualization": FirmwareLock.DISABLED},
        modules=module_states(vboxdrv=ModuleState.LOADED),
    )
    plan = make_plan(facts, make_answers(local_qemu=QEMU))
    assert "firmware has locked virtualization off" in notes(plan)
    assert "vboxdrv" in notes(plan)


def test_a_recorded_machines_plan_is_only_shown() -> None:
    plan = make_plan(make_facts(live=False), make_answers(user="alice"))
    assert plan.only_shown is not None
    assert "recorded machine" in plan.only_shown.english


def test_refused_without_all_answers() -> None:
    with pytest.raises(PlanRefused, match="no answer yet"):
        make_plan(make_facts(), Answers())
    with pytest.raises(PlanRefused, match="no answer yet"):
        make_plan(make_facts(), make_answers().model_copy(update={"qemu": None}))


def test_refused_without_a_package_manager_where_one_is_needed() -> None:
    facts = make_facts(distribution={"id": "gentoo", "like": (), "package_manager": None})
    with pytest.raises(PlanRefused, match="does not know this machine's package manager"):
        make_plan(facts, make_answers())
    assert ids(make_plan(facts, make_answers(local_qemu=QEMU)))[0] == "access.member"


def test_root_takes_these_plans() -> None:
    facts = bare_facts(
        distribution={"udev_running": True},
        iommu={"parameters": ()},
        modules={**module_states(kvm_intel=ModuleState.AVAILABLE), "nested": False},
    )
    answers = make_answers(
        kernel=A_KERNEL,
        modules=("kvm_intel",),
        nested=True,
        iommu=True,
        extras=("image-tools", "uefi-firmware", "libvirt"),
    )
    plan = make_plan(facts, answers)
    assert len(plan.steps) == 13
    assert set(root_helper.checked_steps(canonical_json(plan), plan_digest(plan))) == set(ids(plan))


def test_the_guests_program_is_bound(tmp_path: Path) -> None:
    digest = plan_digest(make_plan(make_facts(), make_answers()))
    assert len(digest) == 64
    reread = tmp_path / "plan.json"
    reread.write_bytes(canonical_json(make_plan(make_facts(), make_answers())))
    assert plan_digest(Plan.model_validate_json(reread.read_bytes())) == digest
