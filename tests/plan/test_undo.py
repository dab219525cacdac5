"""Taking a run back: only what it changed, in reverse order."""

import pytest
from pydantic import ValidationError

from kvmwizard.answers import DistributionKernel
from kvmwizard.host.modules import ModuleState
from kvmwizard.plan import changes
from kvmwizard.plan.build_model import InstallTree, RemoveTree, SetNextBoot, TreeAbsent
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import (
    DeviceAclGrants,
    FileAbsent,
    FileHolds,
    GrantDeviceAcl,
    PackagesAbsent,
    Plan,
    RemoveEmptyGroup,
    RemoveFile,
    RevokeDeviceAcl,
    RunCommand,
    SetDeviceGroup,
    Step,
    WriteFile,
    canonical_json,
    plan_digest,
)
from kvmwizard.plan.undo import make_undo_plan
from kvmwizard.run import root_helper
from kvmwizard.words import say
from tests.facts_builder import make_facts, module_states, node
from tests.plan.answers import make_answers

RULE = "/etc/udev/rules.d/99-kvmwizard.rules"


def a_plan() -> Plan:
    facts = make_facts(
        kvm={"node": node(0o600, group=(0, "root"))},
        modules=module_states(tun=ModuleState.AVAILABLE),
        users={"kvm_group": None, "kvm_group_id": None},
    )
    return make_plan(facts, make_answers(modules=("tun",)))


def ledger(**entries: changes.Change) -> dict[str, tuple[str, ...]]:
    return {name.replace("_", "."): (change.model_dump_json(),) for name, change in entries.items()}


WHOLE_LEDGER = ledger(
    packages_install=changes.PackagesAdded(manager="apt", names=("libaio1", "qemu-system-x86")),
    modules_load=changes.ModuleInserted(name="tun"),
    modules_boot=changes.FileWritten(
        path="/etc/modules-load.d/kvmwizard.conf", previous_text="kvm\n", previous_mode=0o644
    ),
    access_group=changes.GroupCreated(group="kvm"),
    access_member=changes.MemberAdded(user="bob", group="kvm"),
    access_rule=changes.FileWritten(path=RULE, previous_text=None, previous_mode=None),
    access_device=changes.DeviceGiven(path="/dev/kvm", previous_group="root", previous_mode=0o600),
    access_now=changes.AclGranted(path="/dev/kvm", user="bob", previous=None),
)


RUN = "20261122-120000-00000000"
RELEASE = "6.12.117+deb12-amd64"
KERNEL_LEDGER = ledger(
    packages_install=changes.PackagesAdded(manager="apt", names=("qemu-system-x86",)),
    kernel_install=changes.PackagesAdded(manager="apt", names=("linux-base", f"linux-image-{RELEASE}")),
)


def kernel_plan() -> Plan:
    kernel = DistributionKernel(package="linux-image-amd64", version="6.12.117-1", release=RELEASE)
    return make_plan(make_facts(), make_answers(kernel=kernel))


def removed(undo: Plan) -> set[str]:
    """The packages that the plan removes."""
    conditions = [condition for step in undo.steps for condition in step.conditions]
    return {name for found in conditions if isinstance(found, PackagesAbsent) for name in found.names}


@pytest.mark.parametrize("running", ["6.1.0-49-amd64", "117+deb12-amd64", None])
def test_a_kernel_that_does_not_run_is_removed(running: str | None) -> None:
    undo = make_undo_plan(kernel_plan(), KERNEL_LEDGER, running, run_id=RUN)
    assert removed(undo) == {"qemu-system-x86", "linux-base", f"linux-image-{RELEASE}"}


def test_the_running_kernel_stays_with_all_that_came_with_it() -> None:
    undo = make_undo_plan(kernel_plan(), KERNEL_LEDGER, RELEASE, run_id=RUN)
    assert removed(undo) == {"qemu-system-x86"}
    assert f"remove these packages: linux-base, linux-image-{RELEASE}." in undo.notes[0].english


def test_everything_in_reverse() -> None:
    undo = make_undo_plan(a_plan(), {**WHOLE_LEDGER, "access.prove": (), "packages.refresh": ()}, run_id=RUN)
    assert undo.undoes == RUN
    assert [step.id for step in undo.steps] == [
        "undo.access.now",
        "undo.access.device",
        "undo.access.rule",
        "undo.access.member",
        "undo.access.group",
        "undo.modules.boot",
        "undo.modules.load",
        "undo.packages.install",
    ]
    actions = {step.id: step.actions for step in undo.steps}
    assert actions["undo.access.now"] == (RevokeDeviceAcl(path="/dev/kvm", user="bob"),)
    assert actions["undo.access.device"] == (SetDeviceGroup(path="/dev/kvm", group="root", mode=0o600),)
    assert actions["undo.access.rule"][0] == RemoveFile(path=RULE)
    assert actions["undo.access.member"] == (RunCommand(argv=("/usr/bin/gpasswd", "--delete", "bob", "kvm")),)
    assert actions["undo.access.group"] == (RemoveEmptyGroup(group="kvm"),)
    assert actions["undo.modules.load"] == (RunCommand(argv=("/sbin/modprobe", "-r", "tun")),)
    assert actions["undo.modules.boot"] == (
        WriteFile(path="/etc/modules-load.d/kvmwizard.conf", text="kvm\n", mode=0o644),
    )
    (removal,) = actions["undo.packages.install"]
    assert isinstance(removal, RunCommand)
    assert removal.argv == ("/usr/bin/dpkg", "--remove", "--", "libaio1", "qemu-system-x86")


def test_udev_is_told_that_the_rule_is_gone() -> None:
    (step,) = make_undo_plan(a_plan(), {"access.rule": WHOLE_LEDGER["access.rule"]}, run_id=RUN).steps
    told = [action.argv[1] for action in step.actions if isinstance(action, RunCommand)]
    assert told == ["control", "trigger", "settle"]


def test_each_waits_for_what_stands_on_it() -> None:
    undo = make_undo_plan(a_plan(), WHOLE_LEDGER, run_id=RUN)
    seen: set[str] = set()
    for step in undo.steps:
        assert set(step.needs) <= seen
        seen.add(step.id)
    assert "undo.access.now" in undo.step("undo.access.device").needs
    assert set(undo.step("undo.access.group").needs) >= {"undo.access.member", "undo.access.device"}
    assert "undo.access.device" in undo.step("undo.modules.load").needs


def test_conditions_make_it_resumable() -> None:
    undo = make_undo_plan(a_plan(), WHOLE_LEDGER, run_id=RUN)
    assert undo.step("undo.access.rule").conditions == (FileAbsent(path=RULE),)
    assert undo.step("undo.modules.boot").conditions == (
        FileHolds(path="/etc/modules-load.d/kvmwizard.conf", text="kvm\n", mode=0o644),
    )
    assert undo.step("undo.packages.install").conditions == (
        PackagesAbsent(manager="apt", names=("libaio1", "qemu-system-x86")),
    )
    assert all(step.conditions for step in undo.steps)


def test_what_may_be_in_use_by_now_is_not_insisted_on() -> None:
    undo = make_undo_plan(a_plan(), WHOLE_LEDGER, run_id=RUN)
    optional = {step.id for step in undo.steps if not step.required}
    assert optional == {"undo.access.group", "undo.modules.load", "undo.packages.install"}


def test_an_entry_that_was_there_before_comes_back() -> None:
    change = changes.AclGranted(path="/dev/kvm", user="bob", previous="r--")
    (step,) = make_undo_plan(a_plan(), ledger(access_now=change), run_id=RUN).steps
    assert step.actions == (GrantDeviceAcl(path="/dev/kvm", user="bob", permissions="r--"),)
    assert step.conditions == (DeviceAclGrants(path="/dev/kvm", user="bob", permissions="r--"),)


def test_alpines_members_are_taken_out_by_delgroup() -> None:
    facts = make_facts(distribution={"id": "alpine", "like": (), "package_manager": "apk"})
    plan = make_plan(facts, make_answers(local_qemu="/usr/bin/qemu-system-x86_64"))
    (step,) = make_undo_plan(plan, {"access.member": WHOLE_LEDGER["access.member"]}, run_id=RUN).steps
    assert step.actions == (RunCommand(argv=("/usr/sbin/delgroup", "bob", "kvm")),)


def test_nothing_changed_nothing_to_undo() -> None:
    undo = make_undo_plan(a_plan(), {}, run_id=RUN)
    assert undo.steps == ()
    assert undo.notes == ()


def test_what_stays_is_said_once() -> None:
    undo = make_undo_plan(a_plan(), {**WHOLE_LEDGER, "packages.refresh": ()}, run_id=RUN)
    notes = [note.english for note in undo.notes]
    assert [note.split()[0] for note in notes[:2]] == ["The", "Configuration"]
    assert len(set(notes)) == len(notes)
    # The device's step and that of its access list say the same.
    assert sum("has /dev/kvm open" in note for note in notes) == 1


def test_a_ledger_of_another_plan_is_refused() -> None:
    with pytest.raises(KeyError):
        make_undo_plan(a_plan(), {"kernel.compile": ()}, run_id=RUN)
    with pytest.raises(ValidationError):
        make_undo_plan(a_plan(), {"access.now": ('{"kind": "no-such-change"}',)}, run_id=RUN)


def test_root_takes_the_undo_plan() -> None:
    undo = make_undo_plan(a_plan(), WHOLE_LEDGER, run_id=RUN)
    taken = root_helper.checked_steps(canonical_json(undo), plan_digest(undo))
    assert set(taken) == {step.id for step in undo.steps}


BUILT = "6.1.192-kvmwizard"
NAME = f"linux-image-{BUILT}"


def built_plan() -> Plan:
    """Two steps of root's, as a kernel from source has them."""
    install = InstallTree(
        name=NAME,
        tree="kernel",
        release=BUILT,
        prefix="/",
        as_package=True,
        payload="/build/payload",
        identity="a" * 64,
    )
    steps = (
        Step(
            id="kernel.install",
            title=say("a step"),
            root=True,
            uses=("packages",),
            seconds=1,
            conditions=(),
            actions=(install,),
        ),
        Step(
            id="kernel.boot-once",
            title=say("a step"),
            needs=("kernel.install",),
            root=True,
            seconds=1,
            conditions=(),
            actions=(SetNextBoot(release=BUILT, otherwise="6.1.0-49-amd64"),),
        ),
    )
    return Plan(user="alice", qemu=None, steps=steps)


def built_ledger(previous_default: str | None) -> dict[str, tuple[str, ...]]:
    added, chosen = (
        changes.TreeAdded(name=NAME, release=BUILT),
        changes.BootChosen(previous_default=previous_default),
    )
    return {"kernel.install": (added.model_dump_json(),), "kernel.boot-once": (chosen.model_dump_json(),)}


def editenv(*words: str) -> RunCommand:
    return RunCommand(argv=("/usr/bin/grub-editenv", "/boot/grub/grubenv", *words))


@pytest.mark.parametrize(
    ("previous", "restored"),
    [
        (None, editenv("unset", "saved_entry")),
        ("0", editenv("set", "saved_entry=0")),
        (
            "gnulinux-advanced-0f1e>gnulinux-6.1.0",
            editenv("set", "saved_entry=gnulinux-advanced-0f1e>gnulinux-6.1.0"),
        ),
        ("Debian GNU/Linux, with Linux 6.1", editenv("unset", "saved_entry")),
        ("x\nnext_entry=y", editenv("unset", "saved_entry")),
    ],
)
def test_a_built_kernel_goes_after_the_boot_loader_has_forgotten_it(
    previous: str | None, restored: RunCommand
) -> None:
    undo = make_undo_plan(built_plan(), built_ledger(previous), "6.1.0-49-amd64", run_id=RUN)
    forget, remove = undo.steps
    assert (forget.id, remove.id) == ("undo.kernel.boot-once", "undo.kernel.install")
    assert forget.actions == (editenv("unset", "next_entry"), restored)
    assert remove.needs == ("undo.kernel.boot-once",)
    assert remove.uses == ("packages",)
    assert remove.actions == (RemoveTree(name=NAME),)
    assert remove.conditions == (TreeAbsent(name=NAME),)
    assert root_helper.checked_steps(canonical_json(undo), plan_digest(undo))


def test_a_built_kernel_that_runs_stays_and_is_no_longer_the_next_one() -> None:
    undo = make_undo_plan(built_plan(), built_ledger("0"), BUILT, run_id=RUN)
    assert [step.id for step in undo.steps] == ["undo.kernel.boot-once"]
    assert f"purge the package {NAME}" in undo.notes[0].english
    assert f"/var/lib/kvmwizard/installed/{NAME}.json" in undo.notes[0].english
