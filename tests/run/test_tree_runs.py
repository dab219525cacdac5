"""Whole runs that install and remove what was built, with real root, dpkg, hooks and GRUB's own tools."""

import json
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import BootsNext, ProductMade, SetNextBoot, StageKernel, TreeInstalled
from kvmwizard.plan.kernel import saved_default
from kvmwizard.plan.model import Step
from kvmwizard.words import say
from tests.machine.layers import ALICE_PASSWORD, Layer
from tests.machine.machine import ThrowawayMachine
from tests.run.test_in_machine import Runs, step, sudo
from tests.run.trees import IDENTITY, KERNEL, KERNEL_NAME, RELEASE, Root, install_kernel, packed

pytestmark = pytest.mark.root

BUILD = "/home/alice/build"
PAYLOAD, STAMP = f"{BUILD}/payload", f"{BUILD}/payload.stamp"


def staged_step() -> Step:
    """A stage step whose product is there already."""
    action = StageKernel(
        identity=IDENTITY, stamp=STAMP, tree="/x", build="/x", release=RELEASE, stage="/x", payload=PAYLOAD
    )
    return Step(
        id="kernel.stage",
        title=say("a step"),
        root=False,
        seconds=1,
        conditions=(ProductMade(path=STAMP, identity=IDENTITY),),
        actions=(action,),
    )


def install_step(*, as_package: bool) -> Step:
    action = install_kernel(as_package=as_package).model_copy(update={"payload": PAYLOAD})
    made = step("kernel.install", TreeInstalled(name=KERNEL_NAME, identity=IDENTITY), action)
    return made.model_copy(update={"needs": ("kernel.stage",), "uses": ("packages",) if as_package else ()})


def stage(machine: ThrowawayMachine, tmp_path: Path) -> None:
    """Put the packed kernel where alice's builder would have left it."""
    payload, digest = packed(tmp_path, KERNEL)
    machine.do(["/usr/bin/install", "-d", "-o", "alice", "-g", "alice", "-m", "0700", BUILD])
    machine.path(PAYLOAD).write_bytes(payload)
    stamp = {"identity": IDENTITY, "outputs": {PAYLOAD: len(payload)}, "about": {"digest": digest}}
    machine.path(STAMP).write_text(json.dumps(stamp), encoding="ascii")
    machine.do(["/bin/chown", "-R", "alice:alice", BUILD])


@pytest.fixture
def alice(program_machine: ThrowawayMachine, tmp_path: Path) -> Runs:
    program_machine.do(["/bin/mkdir", "-p", "/usr/lib/modules/6.1.0-another", "/etc/kernel/postinst.d"])
    stage(program_machine, tmp_path)
    return Runs(program_machine, "alice")


def carry_out_by_sudo(runs: Runs, run_id: str) -> dict[str, object]:
    sudo(runs, run_id, ALICE_PASSWORD)
    return runs.carry_out(run_id)


@pytest.mark.slow
@pytest.mark.parametrize("as_package", [False, True], ids=["plain", "as a package"])
def test_a_staged_kernel_is_installed_by_sudo_and_undone(alice: Runs, as_package: bool) -> None:
    root = Root(alice.machine)
    before = root.world()
    run_id = alice.take(staged_step(), install_step(as_package=as_package))
    state = carry_out_by_sudo(alice, run_id)
    assert state["status"] == "done", state
    skipped = next(event for event in alice.events(run_id) if event["event"] == "step-skipped")
    stamp = json.loads(alice.machine.path(STAMP).read_bytes())
    assert skipped["payload_digest"] == stamp["about"]["digest"]
    # A second plan of the same has nothing to do.
    again = alice.carry_out(alice.take(staged_step(), install_step(as_package=as_package)))
    assert {each["status"] for each in again["steps"].values()} == {"skipped"}
    undone = carry_out_by_sudo(alice, alice.ask("undo", run_id))
    assert undone["status"] == "done", undone
    assert root.world() == before


def test_a_tree_changed_after_its_stamp_was_journaled_is_refused_in_words(alice: Runs) -> None:
    root = Root(alice.machine)
    before = root.world()
    run_id = alice.take(staged_step(), install_step(as_package=False))
    assert alice.carry_out(run_id)["status"] == "needs-root"
    # Between the stage step and root: another kernel, packed as it should be, and another stamp with it.
    evil = KERNEL[f"boot/vmlinuz-{RELEASE}"][::-1]
    payload, digest = packed(Path(alice.machine.folder.path), {**KERNEL, f"boot/vmlinuz-{RELEASE}": evil})
    alice.machine.path(PAYLOAD).write_bytes(payload)
    stamp = json.loads(alice.machine.path(STAMP).read_bytes())
    stamp["about"]["digest"] = digest
    alice.machine.path(STAMP).write_text(json.dumps(stamp), encoding="ascii")
    state = carry_out_by_sudo(alice, run_id)
    assert state["status"] == "failed"
    assert "is not what was staged" in str(state["steps"])
    assert root.world() == before


@pytest.mark.slow
def test_a_payload_that_is_gone_is_told(alice: Runs) -> None:
    run_id = alice.take(staged_step(), install_step(as_package=False))
    assert alice.carry_out(run_id)["status"] == "needs-root"
    alice.machine.path(PAYLOAD).unlink()
    state = carry_out_by_sudo(alice, run_id)
    assert state["status"] == "failed"
    assert "No such file" in str(state["steps"])


LINUX_MENU = """
export pkgdatadir=/usr/share/grub prefix=/usr exec_prefix=/usr datarootdir=/usr/share GRUB_DEVICE=/dev/sda1
export GRUB_DEVICE_UUID=0f1e-2d3c GRUB_DEVICE_BOOT=/dev/sda1 GRUB_FS=ext2 GRUB_DISTRIBUTOR=Debian
export GRUB_CMDLINE_LINUX_DEFAULT=quiet GRUB_DISABLE_SUBMENU=$1
umask 077
/etc/grub.d/10_linux > /boot/grub/grub.cfg 2>/dev/null
"""
"""The part of grub-mkconfig that lists kernels, with what it learns from grub-probe given: a machine of
layers has no disk that GRUB knows."""
RUNNING = "6.1.0-49-amd64"


def grub(machine: ThrowawayMachine, submenu: str, release: str = RELEASE) -> None:
    """GRUB's tools, and a menu of two kernels that only root may read."""
    install = ["/usr/bin/apt-get", "install", "--yes", "--no-install-recommends", "grub2-common"]
    machine.do(install, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=300)
    kernels = "mkdir -p /boot/grub; for each in $*; do touch /boot/vmlinuz-$each /boot/initrd.img-$each; done"
    machine.do(["/bin/sh", "-c", kernels, "sh", RUNNING, release])
    machine.do(["/bin/sh", "-c", LINUX_MENU, "sh", submenu])
    machine.path("/usr/sbin/update-grub").write_text(
        "#!/bin/sh\ncat /etc/default/grub.d/*boot* || true\n", encoding="ascii"
    )


@pytest.mark.slow
@pytest.mark.parametrize("flat", ["", "y"], ids=["in a submenu", "without submenus"])
def test_a_kernel_is_started_once_and_that_is_undone(program_machine: ThrowawayMachine, flat: str) -> None:
    grub(program_machine, flat)
    alice = Runs(program_machine, "alice")
    program_machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "set", "saved_entry=0"])
    conditions, actions = saved_default()
    once = SetNextBoot(release=RELEASE, otherwise=RUNNING)
    boot_once = step("kernel.boot-once", conditions[0], *actions, once)
    boot_once = boot_once.model_copy(update={"conditions": (*conditions, BootsNext(release=RELEASE))})
    run_id = alice.take(boot_once)
    state = carry_out_by_sudo(alice, run_id)
    assert state["status"] == "done", (state, alice.log(run_id, "kernel.boot-once"))
    remembered = program_machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "list"])
    above = "" if flat else "gnulinux-advanced-/dev/sda1>"
    assert f"next_entry={above}gnulinux-{RELEASE}-advanced-/dev/sda1" in remembered
    assert f"saved_entry={above}gnulinux-{RUNNING}-advanced-/dev/sda1" in remembered
    assert "GRUB_DEFAULT=saved" in alice.log(run_id, "kernel.boot-once")
    undone = carry_out_by_sudo(alice, alice.ask("undo", run_id))
    assert undone["status"] == "done", undone
    assert program_machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "list"]) == "saved_entry=0\n"
    assert not program_machine.path("/etc/default/grub.d/kvmwizard-boot.cfg").exists()


@pytest.mark.slow
def test_a_kernel_that_the_menu_lacks_is_not_chosen(program_machine: ThrowawayMachine) -> None:
    grub(program_machine, "")
    alice = Runs(program_machine, "alice")
    once = SetNextBoot(release="6.1.193-other", otherwise=RUNNING)
    run_id = alice.take(step("kernel.boot-once", BootsNext(release="6.1.193-other"), once))
    state = carry_out_by_sudo(alice, run_id)
    assert "no entry for Linux 6.1.193-other" in str(state["steps"])
    assert not program_machine.path("/boot/grub/grubenv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("as_package", [False, True], ids=["plain", "as a package"])
def test_the_distribution_s_own_hook_makes_the_initramfs_and_takes_it_away(
    program_base: Layer, tmp_path: Path, as_package: bool
) -> None:
    with ThrowawayMachine.start(program_base.stack) as machine:
        install = ["/usr/bin/apt-get", "install", "--yes", "--no-install-recommends", "initramfs-tools"]
        machine.do(install, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=300)
        machine.do(["/bin/mkdir", "-p", "/usr/lib/modules/6.1.0-another"])
        stage(machine, tmp_path)
        runs = Runs(machine)
        before = Root(machine).world()
        run_id = runs.take(staged_step(), install_step(as_package=as_package))
        state = runs.carry_out(run_id)
        assert state["status"] == "done", (state, runs.log(run_id, "kernel.install"))
        assert machine.path(f"/boot/initrd.img-{RELEASE}").stat().st_size > 100_000
        assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
        assert Root(machine).world() == before
