"""Applied twice, steps of every kind change nothing the second time; what was broken by hand is mended."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter

from kvmwizard.host.guest import guest_program_sha256
from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.build_model import (
    LISTS_OF_TREES,
    BootKernel,
    BootsByDefault,
    BootsNext,
    BuilderAction,
    GuestsProved,
    ProductMade,
    SetDefaultBoot,
    SetNextBoot,
    TreeInstalled,
)
from kvmwizard.plan.conditions import changes_between, holds
from kvmwizard.plan.kernel import saved_default
from kvmwizard.plan.model import (
    Condition,
    DeviceAclGrants,
    DeviceGroup,
    FileHolds,
    FileMentions,
    GrantDeviceAcl,
    GuestRanAs,
    ModuleLoaded,
    PackageListsFresh,
    PackagesInstalled,
    Plan,
    RunCommand,
    RunGuestAs,
    SetDeviceGroup,
    Step,
    WriteFile,
)
from kvmwizard.plan.software import run_command
from kvmwizard.run.launch import start_runner
from kvmwizard.run.model import RunState, StepStatus
from kvmwizard.run.observe import observe
from kvmwizard.run.store import RunStore
from tests.build.kernels import KernelFolder, why_no_miniature
from tests.build.qemu_trees import compile_action, configure_action, make_tree, stage_action
from tests.build.test_packages import DebianArchive, action_for, archive, unpack
from tests.conftest import Counts, Tries
from tests.end_to_end.world import differences, world_of
from tests.fetch.conftest import small_tree
from tests.fetch.downloads import Downloads
from tests.fetch.test_git import keys_of
from tests.fetch.workers import BUILDER, Bench, bench
from tests.machine.machine import ThrowawayMachine
from tests.mirror.mirror import Mirror
from tests.proof.emulators import shell_emulator
from tests.proof.test_kernel import COMES_UP
from tests.run.test_in_machine import GROUP, RULES, WRITE, Runs, State, member, step
from tests.run.test_runner import wait_for_end
from tests.run.test_tree_runs import PAYLOAD, grub, stage, staged_step
from tests.run.test_tree_runs import RUNNING as OTHER
from tests.run.trees import IDENTITY, KERNEL_NAME, RELEASE, install_kernel
from tests.torture.twice import EVERY_KIND, TRIED_ELSEWHERE, is_there, kinds_of

__all__ = ["archive", "small_tree"]

OPTIONS = "/etc/modprobe.d/kvmwizard.conf"
GRUB_FILE = "/etc/default/grub.d/kvmwizard.cfg"
PARAMETER = "intel_iommu=on"
UPDATE_GRUB = "#!/bin/sh\nmkdir -p /boot/grub\ncat /etc/default/grub.d/* > /boot/grub/grub.cfg || true\n"
"""In the place of GRUB's own, which makes no menu in a machine without a disk: it copies what it is told."""
MODPROBE = """#!/bin/sh
case "$1" in
-r) rm -r "/sys/module/$2" ;;
*) mkdir -p "/sys/module/$1" && echo live > "/sys/module/$1/initstate" ;;
esac
"""
"""In the place of the real one: a machine shares the live kernel, and may load nothing into it."""
PACKAGE = "libaio1"
"""A small one that is at hand in every machine."""


@dataclass(frozen=True)
class Broken:
    """A step of root's, and the commands that break what it did, each in its own way."""

    step: Step
    ways: tuple[str, ...]


def file_step(name: str, path: str, text: str, *told: RunCommand) -> Step:
    written = WriteFile(path=path, text=text, mode=0o644)
    mentions = (FileMentions(path="/boot/grub/grub.cfg", text=PARAMETER),) if told else ()
    made = step(name, FileHolds(path=path, text=text, mode=0o644), written, *told)
    return made.model_copy(update={"conditions": (*made.conditions, *mentions)})


IOMMU = f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {PARAMETER}"\n'
ACCESS = (
    Broken(GROUP, ("groupdel kvm",)),
    Broken(
        member("kvm").model_copy(update={"needs": ("access.group",)}),
        ("gpasswd --delete alice kvm || true",),
    ),
    Broken(
        WRITE,
        (
            "rm {rules}",
            "echo 'KERNEL==\"kvm\"' > {rules}",
            "chmod 600 {rules}",
            ": > {rules}",
        ),
    ),
    Broken(
        file_step("modules.options", OPTIONS, "options kvm_intel nested=1\n"), ("echo evil >> {options}",)
    ),
    Broken(
        file_step("boot.iommu", GRUB_FILE, IOMMU, RunCommand(argv=("/usr/sbin/update-grub",))),
        (": > /boot/grub/grub.cfg", "rm {grub}", "rm /boot/grub/grub.cfg"),
    ),
    Broken(
        step("modules.load", ModuleLoaded(name="kvm_hv"), RunCommand(argv=("/sbin/modprobe", "kvm_hv"))),
        ("rm -r /sys/module/kvm_hv",),
    ),
    Broken(
        step(
            "access.device",
            DeviceGroup(path="/dev/kvm", group="kvm", mode=0o660),
            SetDeviceGroup(path="/dev/kvm", group="kvm", mode=0o660),
        ).model_copy(update={"needs": ("access.group",)}),
        ("chgrp root /dev/kvm", "chmod 606 /dev/kvm"),
    ),
    Broken(
        step(
            "access.now",
            DeviceAclGrants(path="/dev/kvm", user="alice"),
            GrantDeviceAcl(path="/dev/kvm", user="alice"),
        ).model_copy(update={"needs": ("access.device",)}),
        ("setfacl --remove user:alice /dev/kvm || true", "setfacl --modify user:alice:r /dev/kvm"),
    ),
    Broken(
        step(
            "access.prove",
            GuestRanAs(user="alice"),
            RunGuestAs(user="alice", program_sha256=guest_program_sha256()),
        ).model_copy(update={"needs": ("access.now", "access.member")}),
        (),
    ),
)
INSTALL_ACTION = install_kernel().model_copy(update={"payload": PAYLOAD})
SOFTWARE = (
    Broken(
        step(
            "packages.refresh",
            PackageListsFresh(
                manager="apt",
                seconds=86400,
                wanted=PackagesInstalled(manager="apt", names=("no-such-package",)),
            ),
            *map(run_command, MANAGERS["apt"].refresh()),
        ),
        ("touch -d '3 days ago' /var/lib/apt/periodic/update-success-stamp",),
    ),
    Broken(
        step(
            "packages.install",
            PackagesInstalled(manager="apt", names=(PACKAGE,)),
            *map(run_command, MANAGERS["apt"].install((PACKAGE,))),
        ).model_copy(update={"needs": ("packages.refresh",)}),
        (f"dpkg --remove {PACKAGE}", f"dpkg --force-depends --remove {PACKAGE}"),
    ),
    Broken(
        step("kernel.install", TreeInstalled(name=KERNEL_NAME, identity=IDENTITY), INSTALL_ACTION).model_copy(
            update={"needs": ("kernel.stage",)}
        ),
        (
            f"rm /boot/vmlinuz-{RELEASE}",
            f": > /boot/config-{RELEASE}",
            f"rm -r /usr/lib/modules/{RELEASE}/kernel",
            f"rm -r {LISTS_OF_TREES}/{KERNEL_NAME}.json /boot/*{RELEASE} /usr/lib/modules/{RELEASE}",
        ),
    ),
)
SOFTWARE_AS_PACKAGE = (
    *SOFTWARE[:-1],
    Broken(
        SOFTWARE[-1].step.model_copy(
            update={"actions": (INSTALL_ACTION.model_copy(update={"as_package": True}),)}
        ),
        (*SOFTWARE[-1].ways[:-1], f"dpkg --remove {KERNEL_NAME}", f"dpkg --purge {KERNEL_NAME}"),
    ),
)
NAMES = {"rules": RULES, "options": OPTIONS, "grub": GRUB_FILE}
NEVER_HOLDS = {"access.prove"}
"""What no look at the world shows: it is done every time, and changes nothing."""
CHANGED = (
    "find /etc /boot /opt/kvmwizard /usr/lib/modules /var/lib/kvmwizard /var/lib/dpkg/status /dev/kvm "
    "-cnewer /tmp/before 2>/dev/null || true"
)


KINDS_OF_UNDOING = {
    "access and boot": {
        *("file-absent", "remove-file", "group-absent", "remove-empty-group", "user-not-in-group"),
        *("module-unloaded", "device-acl-without", "revoke-device-acl"),
    },
    "software": {"packages-absent", "tree-absent", "remove-tree"},
    "software as a package": {"packages-absent", "tree-absent", "remove-tree"},
}
"""What the undo plans are made of beside the kinds of the steps themselves."""


@pytest.fixture
def host(program_machine: ThrowawayMachine, tmp_path: Path) -> ThrowawayMachine:
    """A machine with what the steps need, and stand-ins for what its kernel and its disk do not allow."""
    machine = program_machine
    for path, text in (("/usr/sbin/update-grub", UPDATE_GRUB), ("/sbin/modprobe", MODPROBE)):
        machine.do(["/bin/rm", "-f", path])
        machine.path(path).write_text(text, encoding="ascii")
        machine.path(path).chmod(0o755)
    machine.do(["/bin/sh", "-ec", "mount -t tmpfs -o mode=755 tmpfs /sys/module; mkdir /sys/module/kvm"])
    machine.do(["/bin/mkdir", "-p", "/usr/lib/modules/6.1.0-another", "/boot/grub", "/etc/default/grub.d"])
    machine.do(["/usr/sbin/update-grub"])
    stage(machine, tmp_path)
    machine.do(["/bin/chown", "-R", "root:root", "/home/alice/build"])
    return machine


def statuses(state: State) -> dict[str, str]:
    return {name: each["status"] for name, each in state["steps"].items()}


def apply(runs: Runs, steps: tuple[Step, ...]) -> dict[str, str]:
    return statuses(runs.carry_out(runs.take(*steps)))


def changed(machine: ThrowawayMachine, runs: Runs, steps: tuple[Step, ...]) -> tuple[dict[str, str], str]:
    """How the steps end, and which files the run touched."""
    machine.do(["/bin/sh", "-c", "touch /tmp/before; sleep 0.02"])
    ended = apply(runs, steps)
    return ended, machine.do(["/bin/sh", "-c", CHANGED])


def assert_nothing_is_done_twice(machine: ThrowawayMachine, runs: Runs, steps: tuple[Step, ...]) -> int:
    """Once more what was done; how many steps had nothing to do."""
    ended, touched = changed(machine, runs, steps)
    assert {name for name, status in ended.items() if status == "done"} <= NEVER_HOLDS
    assert set(ended.values()) <= {"done", "skipped"}
    assert touched == ""
    return list(ended.values()).count("skipped")


def break_all(machine: ThrowawayMachine, broken: tuple[Broken, ...], number: int) -> int:
    """Break every step's result in its way of that number; how many there are."""
    ways = [each.ways[number] for each in broken if number < len(each.ways)]
    # Backwards: who is in a group keeps it from being removed.
    for way in reversed(ways):
        machine.do(["/bin/sh", "-ec", way.format(**NAMES)])
    return len(ways)


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "broken"),
    [
        pytest.param("access and boot", ACCESS, id="access and boot"),
        pytest.param("software", SOFTWARE, id="software"),
        pytest.param("software as a package", SOFTWARE_AS_PACKAGE, id="software as a package"),
    ],
)
def test_steps_of_root_change_nothing_twice_and_mend_what_was_broken(
    host: ThrowawayMachine, name: str, broken: tuple[Broken, ...], tries: Tries, counts: Counts
) -> None:
    if not Path("/dev/kvm").exists():
        pytest.skip("the steps give /dev/kvm away, and there is none")
    machine, runs = host, Runs(host)
    steps = tuple(each.step for each in broken)
    if broken is not ACCESS:
        steps = (staged_step(), *steps)
    before = world_of(machine)
    first = runs.take(*steps)
    assert set(statuses(runs.carry_out(first)).values()) <= {"done", "skipped"}
    after = world_of(machine)
    assert differences(before, after) != set()
    skipped = assert_nothing_is_done_twice(machine, runs, steps)

    mended = 0
    for number in range(tries(short=1, full=max(len(each.ways) for each in broken))):
        mended += break_all(machine, broken, number)
        assert (
            apply(runs, steps).items()
            >= {each.step.id: "done" for each in broken if number < len(each.ways)}.items()
        ), number
        assert differences(after, world_of(machine)) == set(), number
    skipped += assert_nothing_is_done_twice(machine, runs, steps)

    runs.forget_later_than(first)
    undo = runs.ask("undo", first)
    back = Plan.model_validate_json((runs.directory(undo) / "plan.json").read_bytes()).steps
    assert kinds_of(*back) - kinds_of(*steps) == KINDS_OF_UNDOING[name]
    assert set(statuses(runs.carry_out(undo)).values()) == {"done"}
    assert differences(before, world_of(machine)) == set()
    skipped += assert_nothing_is_done_twice(machine, runs, back)
    for _ in range(tries(short=0, full=2)):
        # What an undo has done is broken by doing it all once more.
        apply(runs, steps)
        assert set(apply(runs, back).values()) == {"done"}
        assert differences(before, world_of(machine)) == set()
        mended += len(back)
    counts(
        f"applied twice, {name}",
        kinds=len(kinds_of(*steps, *back)),
        steps=len(steps) + len(back),
        had_nothing_to_do=skipped,
        broken_and_mended=mended,
    )


STEPS_OF_ROOT = tuple(each.step for each in (*ACCESS, *SOFTWARE))
# What is built: as the builder, by a real runner with its workers, on sources in miniature.


def build_step(action: BuilderAction, *needs: str) -> Step:
    condition = ProductMade(path=action.stamp, identity=action.identity)
    made = step(action.kind, condition, action)
    return made.model_copy(update={"root": False, "needs": needs})


@pytest.fixture
def builder() -> Iterator[Bench]:
    with bench() as made:
        yield made


def tarball_actions(builder: Bench, mirror: Mirror, tree: Path) -> tuple[dict[str, Any], ...]:
    """A download from the mirror, its unpacking, and the same by a git tag."""
    mirror.layout.add_kernel("6.1.9", tree)
    mirror.add_kernel_tag("v6.1.9", tree)
    downloads = Downloads(mirror, builder.folder)
    keys = keys_of(mirror.key, builder.folder)
    proof = {**downloads.listed(), "keys": keys}
    download = downloads.action(project="linux", version="6.1.9", proofs=[proof])
    unpack_it = {
        "kind": "unpack-source",
        "archive": download["path"],
        "tree": str(builder.folder / "unpacked/source"),
    }
    fetch = {
        "kind": "fetch-tag",
        "project": "linux",
        "urls": [mirror.kernel_git],
        "tag": "v6.1.9",
        "repository": str(builder.folder / "git/linux.git"),
        "tree": str(builder.folder / "fetched/source"),
        "keys": keys,
    }
    stamps = ("unpacked/source.stamp", "fetched/source.stamp")
    others = [
        {**action, "identity": IDENTITY, "stamp": str(builder.folder / stamp)}
        for action, stamp in zip((unpack_it, fetch), stamps, strict=True)
    ]
    return (download, *others)


def source_steps(builder: Bench, mirror: Mirror, tree: Path) -> tuple[Step, ...]:
    """Every kind of step that the builder does, but for those that `TRIED_ELSEWHERE` names."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[BuilderAction, Field(discriminator="kind")])
    download, unpack_it, fetch = map(adapter.validate_python, tarball_actions(builder, mirror, tree))
    kernel = KernelFolder.miniature(builder.folder / "linux-6.1.7")
    qemu = builder.folder / "qemu"
    qemu.mkdir()
    make_tree(qemu)
    boot = BootKernel(
        identity=IDENTITY,
        stamp=str(builder.folder / "boot.stamp"),
        image=str(kernel.image),
        release=kernel.release,
        qemu=shell_emulator(builder.folder, COMES_UP.replace("6.1.7-own", kernel.release)),
        seconds=20,
    )
    return (
        build_step(download),
        build_step(unpack_it, "download-source"),
        build_step(fetch),
        build_step(kernel.configure()),
        build_step(kernel.compile(), "configure-kernel"),
        build_step(boot, "compile-kernel"),
        build_step(kernel.stage(), "compile-kernel"),
        build_step(configure_action(qemu)),
        build_step(compile_action(qemu), "configure-qemu"),
        build_step(stage_action(qemu), "compile-qemu"),
    )


def carried_out(store: RunStore, builder: Bench, steps: tuple[Step, ...]) -> RunState:
    as_root = os.geteuid() == 0
    plan = Plan(
        user="root",
        qemu=None,
        builder=str(BUILDER) if as_root else None,
        build_folder=str(builder.folder),
        steps=steps,
    )
    run_id = store.create(plan)
    start_runner(store, run_id)
    return wait_for_end(store, run_id)


def stamp_of(built: Step) -> Path:
    (condition,) = built.conditions
    assert isinstance(condition, ProductMade)
    return Path(condition.path)


def products(steps: tuple[Step, ...]) -> dict[str, tuple[Path, ...]]:
    """What each step's stamp lists, by the step; the stamp itself where it lists nothing."""
    found = {}
    for each in steps:
        listed = json.loads(stamp_of(each).read_bytes())["outputs"]
        found[each.id] = tuple(map(Path, listed)) or (stamp_of(each),)
    return found


def products_of_others(broken: dict[str, tuple[Path, ...]], name: str) -> set[Path]:
    return {path for other, paths in broken.items() if other != name for path in paths}


def contents(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, time of the last change and size of every file, by its path; git packs its own as it likes."""
    found = {}
    for path in (each for each in folder.rglob("*") if "linux.git" not in each.parts):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def take_away(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        # Two steps may share a product, as the configuration.
        path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.skipif(why_no_miniature() is not None, reason=why_no_miniature() or "")
def test_steps_of_the_builder_build_nothing_twice_and_mend_what_was_broken(
    builder: Bench, mirror: Mirror, small_tree: Path, tmp_path: Path, counts: Counts
) -> None:
    steps = source_steps(builder, mirror, small_tree)
    if os.geteuid() == 0:
        subprocess.run(["/bin/chown", "-R", f"{BUILDER}:{BUILDER}", str(builder.folder)], check=True)
    builder.folder.chmod(0o700)
    store = RunStore(tmp_path / "state")
    first = carried_out(store, builder, steps)
    assert {each.status for each in first.steps.values()} == {StepStatus.DONE}, first
    before = contents(builder.folder)
    second = carried_out(store, builder, steps)
    assert {each.status for each in second.steps.values()} == {StepStatus.SKIPPED}, second
    assert contents(builder.folder) == before
    broken = products(steps)
    for path in {path for paths in broken.values() for path in paths}:
        take_away(path)
    mended = carried_out(store, builder, steps)
    again = {name for name, each in mended.steps.items() if each.status is StepStatus.DONE}
    # Where a step's product is another's, too, as the configuration, the first has mended it for both.
    shared = {name for name, paths in broken.items() if set(paths) <= products_of_others(broken, name)}
    assert set(broken) - again <= shared, mended
    assert set(contents(builder.folder)) == set(before)
    for each in steps:
        stamp_of(each).unlink()
    anew = carried_out(store, builder, steps)
    assert {each.status for each in anew.steps.values()} == {StepStatus.DONE}, anew
    last = carried_out(store, builder, steps)
    assert {each.status for each in last.steps.values()} == {StepStatus.SKIPPED}, last
    counts(
        "applied twice, what is built",
        kinds=len(kinds_of(*steps)),
        steps=len(steps),
        had_nothing_to_do=sum(each.status is StepStatus.SKIPPED for each in second.steps.values()),
        broken=len(broken),
        mended=len(set(broken) & again),
    )
    assert kinds_of(*steps) == KINDS_OF_BUILDING


KINDS_OF_BUILDING = {
    *("download-source", "unpack-source", "fetch-tag", "configure-kernel", "compile-kernel", "boot-kernel"),
    *("stage-kernel", "configure-qemu", "compile-qemu", "stage-qemu", "product-made"),
}


def test_unpacked_packages_are_mended_and_else_left_alone(archive: DebianArchive, tmp_path: Path) -> None:
    made = unpack(archive, tmp_path).stamp
    assert made is not None
    action = action_for(tmp_path)
    condition = ProductMade(path=action.stamp, identity=action.identity)
    assert holds(condition, observe(condition)), "a second run finds it, and does nothing"
    # Which of the files a stamp lists is gone does not matter.
    for path in json.loads(Path(action.stamp).read_bytes())["outputs"]:
        Path(path).unlink()
        assert not holds(condition, observe(condition))
        assert unpack(archive, tmp_path).returncode == 0
        assert holds(condition, observe(condition))


HERE = os.uname().release
"""The kernel that really runs: root makes no other the default."""


def next_start() -> Step:
    conditions, actions = saved_default()
    once = SetNextBoot(release=OTHER, otherwise=HERE)
    made = step("kernel.boot-once", conditions[0], *actions, once)
    return made.model_copy(update={"conditions": (*conditions, BootsNext(release=OTHER))})


def default_start() -> Step:
    return step("kernel.default", BootsByDefault(release=HERE), SetDefaultBoot(release=HERE))


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "ways"),
    [
        pytest.param(
            next_start(),
            ("unset next_entry", "set next_entry=0", "unset saved_entry next_entry"),
            id="the next start",
        ),
        pytest.param(default_start(), ("unset saved_entry", "set saved_entry=1"), id="the default"),
    ],
)
def test_the_boot_loader_s_choice_is_made_once_and_mended(
    program_machine: ThrowawayMachine, made: Step, ways: tuple[str, ...], counts: Counts
) -> None:
    machine, runs = program_machine, Runs(program_machine)
    grub(machine, "", HERE)
    machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "set", "saved_entry=0"])
    remembers = ["/usr/bin/grub-editenv", "/boot/grub/grubenv", "list"]
    done = {made.id: "done"}
    first = runs.take(made)
    assert statuses(runs.carry_out(first)) == done
    chosen = machine.do(remembers)
    skipped = assert_nothing_is_done_twice(machine, runs, (made,))
    for way in ways:
        machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", *way.split()])
        assert apply(runs, (made,)) == done, way
        assert machine.do(remembers) == chosen, way
    runs.forget_later_than(first)
    undo = runs.ask("undo", first)
    for _ in range(2):
        assert set(statuses(runs.carry_out(undo)).values()) == {"done"}
        assert machine.do(remembers) == "saved_entry=0\n"
    counts(f"applied twice, {made.id}", had_nothing_to_do=skipped, broken_and_mended=len(ways))


@pytest.mark.parametrize("condition", [GuestRanAs(user="root"), GuestsProved(release=HERE, user="root")])
def test_what_no_look_at_the_machine_shows_is_shown_anew_every_time(condition: Condition) -> None:
    """A proof changes nothing, and one of an hour ago is none: no evidence makes it be left out."""
    assert not holds(condition, observe(condition))
    assert changes_between(condition, observe(condition), observe(condition)) == ()


def test_every_kind_of_action_and_condition_is_tried_here() -> None:
    """A new kind fails here: add a step of it above, or name its own test in `TRIED_ELSEWHERE`."""
    tried = kinds_of(*STEPS_OF_ROOT).union(*KINDS_OF_UNDOING.values(), KINDS_OF_BUILDING, TRIED_ELSEWHERE)
    assert EVERY_KIND - tried == set()
    assert tried - EVERY_KIND == set()
    assert [test for test in TRIED_ELSEWHERE.values() if not is_there(test)] == []
