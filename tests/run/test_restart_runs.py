"""Whole runs across a restart, with real sudo and GRUB's own tools; the restart alone is not real.

A throwaway machine cannot be restarted. Of a restart it sees what a run can see: another boot id, another
release, and GRUB's environment block without what was named for one start.
"""

import os

import pytest

from kvmwizard.plan.build_model import BootsByDefault, SetDefaultBoot
from kvmwizard.plan.kernel_boot import NewKernel, choice_steps, restart_steps
from kvmwizard.plan.model import Step
from tests.end_to_end.restart import BOOT_ID, OSRELEASE
from tests.facts_builder import make_facts
from tests.machine.machine import ThrowawayMachine
from tests.run.test_in_machine import Runs, State, step
from tests.run.test_tree_runs import RUNNING, carry_out_by_sudo, grub

pytestmark = [pytest.mark.root, pytest.mark.slow]

NEW = os.uname().release
"""The kernel that really runs: what comes before the restart sees another one in its place."""
KERNEL = NewKernel(NEW, built=True, installed_by=())
ENTRY = "gnulinux-advanced-/dev/sda1>gnulinux-{}-advanced-/dev/sda1"


def steps() -> tuple[Step, ...]:
    """All but the proof, which takes a machine that runs guests."""
    facts = make_facts(kernel={"release": RUNNING})
    chosen = choice_steps(facts, KERNEL)
    behind = restart_steps(facts, KERNEL, "alice", None, [each.id for each in chosen])
    return tuple(
        each.model_copy(update={"needs": tuple(need for need in needs if need != "boot.iommu")})
        for each in (*chosen, *behind)
        if each.id != "kernel.proof"
        for needs in (("kernel.restart",) if each.id == "kernel.default" else each.needs,)
    )


class Restarts:
    """What a machine says of the kernel that runs, and of this boot."""

    def __init__(self, machine: ThrowawayMachine) -> None:
        self.machine = machine
        self.boots = 0
        self.says(OSRELEASE, RUNNING)

    def says(self, path: str, text: str) -> None:
        self.machine.path("/opt/said").write_text(f"{text}\n", encoding="ascii")
        self.machine.do(["/bin/cp", "/opt/said", f"/opt/said-{self.boots}-{len(path)}"])
        self.machine.do(["/bin/mount", "--bind", f"/opt/said-{self.boots}-{len(path)}", path])

    def restart(self, *, into_new: bool) -> None:
        """As GRUB and the kernel do it: the choice for one start is forgotten; the boot has another id."""
        self.boots += 1
        self.says(BOOT_ID, f"6c1d8f1e-41cd-4a51-9c9d-2c5a8f6f0a{self.boots:02}")
        if into_new:
            self.machine.do(["/bin/umount", OSRELEASE])
        self.machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "unset", "next_entry"])


class Crossing:
    """Alice's run on a machine with GRUB, up to the restart."""

    def __init__(self, machine: ThrowawayMachine) -> None:
        grub(machine, "", NEW)
        machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "set", "saved_entry=0"])
        self.machine = machine
        self.restarts = Restarts(machine)
        self.alice = Runs(machine, "alice")
        self.run_id = self.alice.take(*steps())
        self.state = carry_out_by_sudo(self.alice, self.run_id)

    def remembered(self) -> dict[str, str]:
        said = self.machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "list"])
        return dict(line.split("=", 1) for line in said.splitlines())

    def go_on(self) -> State:
        return self.alice.carry_out(self.run_id)

    def go_on_as_root(self) -> State:
        return carry_out_by_sudo(self.alice, self.run_id)


@pytest.fixture
def crossing(program_machine: ThrowawayMachine) -> Crossing:
    return Crossing(program_machine)


def test_the_kernel_that_came_up_is_made_the_default_and_undo_takes_that_back(crossing: Crossing) -> None:
    assert crossing.state["status"] == "needs-restart", crossing.state
    assert crossing.remembered() == {"saved_entry": ENTRY.format(RUNNING), "next_entry": ENTRY.format(NEW)}
    # In the same boot there is nothing to do, and nobody is asked for a password.
    assert not crossing.state["root_needed"]
    assert crossing.go_on()["status"] == "needs-restart"
    crossing.restarts.restart(into_new=True)
    state = crossing.alice.state(crossing.run_id)
    assert (state["status"], state["root_needed"]) == ("restarted", False)
    state = crossing.go_on()
    assert (state["status"], state["root_needed"]) == ("needs-root", True)
    assert state["steps"]["kernel.restart"]["status"] == "done"
    assert crossing.remembered() == {"saved_entry": ENTRY.format(RUNNING)}
    assert crossing.go_on_as_root()["status"] == "done"
    assert crossing.remembered() == {"saved_entry": ENTRY.format(NEW)}
    undone = carry_out_by_sudo(crossing.alice, crossing.alice.ask("undo", crossing.run_id))
    assert undone["status"] == "done", undone
    assert crossing.remembered() == {"saved_entry": "0"}
    assert not crossing.machine.path("/etc/default/grub.d/kvmwizard-boot.cfg").exists()


def test_of_a_kernel_that_did_not_come_up_it_is_said_and_the_next_try_starts_it_once_more(
    crossing: Crossing,
) -> None:
    crossing.restarts.restart(into_new=False)
    state = crossing.go_on()
    assert state["status"] == "failed"
    words = state["steps"]["kernel.restart"]["words"]
    assert f"runs Linux {RUNNING}: Linux {NEW} did not come up" in words
    assert "journalctl -k -b -1" in words
    assert state["steps"]["kernel.default"]["status"] == "waiting"
    assert crossing.remembered() == {"saved_entry": ENTRY.format(RUNNING)}
    crossing.alice.ask("retry", crossing.run_id)
    state = crossing.alice.end(crossing.run_id)
    assert (state["status"], state["root_needed"]) == ("needs-root", True)
    assert crossing.go_on_as_root()["status"] == "needs-restart"
    assert crossing.remembered()["next_entry"] == ENTRY.format(NEW)
    crossing.restarts.restart(into_new=True)
    assert crossing.go_on()["status"] == "needs-root"
    assert crossing.go_on_as_root()["status"] == "done"
    assert crossing.remembered() == {"saved_entry": ENTRY.format(NEW)}


def test_a_boot_loader_s_memory_that_cannot_be_read_fails_the_restart_in_words(crossing: Crossing) -> None:
    crossing.restarts.restart(into_new=False)
    assert crossing.go_on()["status"] == "failed"
    crossing.machine.do(["/bin/sh", "-c", "cd /boot/grub; mv grubenv aside; mkdir grubenv"])
    crossing.alice.ask("retry", crossing.run_id)
    state = crossing.alice.end(crossing.run_id)
    assert (state["status"], state["notice"]) == ("failed", None)
    assert "/boot/grub/grubenv cannot be looked at" in state["steps"]["kernel.restart"]["words"]
    crossing.machine.do(["/bin/sh", "-c", "cd /boot/grub; rmdir grubenv; mv aside grubenv"])
    crossing.alice.ask("retry", crossing.run_id)
    assert crossing.alice.end(crossing.run_id)["status"] == "needs-root"


def test_whoever_picks_the_kernel_by_hand_after_a_failure_goes_on_without_another_restart(
    crossing: Crossing,
) -> None:
    crossing.restarts.restart(into_new=False)
    assert crossing.go_on()["status"] == "failed"
    crossing.restarts.restart(into_new=True)
    crossing.alice.ask("retry", crossing.run_id)
    assert crossing.alice.end(crossing.run_id)["status"] == "needs-root"
    assert crossing.go_on_as_root()["status"] == "done"
    assert crossing.remembered() == {"saved_entry": ENTRY.format(NEW)}


def test_root_makes_no_kernel_the_default_that_does_not_run(program_machine: ThrowawayMachine) -> None:
    grub(program_machine, "", NEW)
    alice = Runs(program_machine, "alice")
    run_id = alice.take(
        step("kernel.default", BootsByDefault(release=RUNNING), SetDefaultBoot(release=RUNNING))
    )
    state = carry_out_by_sudo(alice, run_id)
    assert "only the kernel that runs is made the default" in str(state["steps"])
    assert not program_machine.path("/boot/grub/grubenv").exists()


def test_where_grub_cannot_forget_the_present_kernel_stays_the_default(
    program_machine: ThrowawayMachine,
) -> None:
    grub(program_machine, "", NEW)
    facts = make_facts(
        kernel={"release": NEW, "installed_releases": (NEW,)}, distribution={"grub_storage": "lvm"}
    )
    chosen = choice_steps(facts, NewKernel(RUNNING, built=True, installed_by=()))
    behind = restart_steps(
        facts, NewKernel(RUNNING, built=True, installed_by=()), "alice", None, ("kernel.keep",)
    )
    alice = Runs(program_machine, "alice")
    run_id = alice.take(chosen[0].model_copy(update={"needs": ()}), *behind)
    state = carry_out_by_sudo(alice, run_id)
    assert state["status"] == "needs-restart", state
    said = program_machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "list"])
    assert said == f"saved_entry={ENTRY.format(NEW)}\n"
