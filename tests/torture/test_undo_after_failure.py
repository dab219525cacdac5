"""A run fails at any of root's operations, or its undo does: once undone, everything is as it was before."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from kvmwizard.plan.model import Step
from tests.conftest import Counts, Tries
from tests.end_to_end.world import World, differences, world_of
from tests.machine.machine import ThrowawayMachine
from tests.run.test_in_machine import Runs
from tests.run.test_tree_runs import grub, staged_step
from tests.run.trees import Root
from tests.torture.strikes import operations, put_into_helper, strike, strike_no_more
from tests.torture.test_twice import ACCESS, HERE, SOFTWARE, default_start, host, next_start, statuses

__all__ = ["host"]

pytestmark = [pytest.mark.root, pytest.mark.slow]

# A proof changes nothing, and lists of packages are renewed from the network, which is not undone.
ACCESS_STEPS = tuple(each.step for each in ACCESS if each.step.id != "access.prove")
SOFTWARE_STEPS = (
    staged_step(),
    *(
        each.step.model_copy(update={"needs": ("kernel.stage",) * ("kernel" in each.step.id)})
        for each in SOFTWARE
        if each.step.id != "packages.refresh"
    ),
)
BOOT_STEPS = (next_start(), default_start())


LEFT_OUT = ("__pycache__", "root_helper", "drwxr-xr-x root root /var/lib/kvmwizard")
"""What the tests' own program writes; and of root's lists, an empty folder that could not be removed."""


class Everything:
    """All that a run may change in a machine: packages, groups, files, the device, kernels, boot entries."""

    def __init__(self, machine: ThrowawayMachine) -> None:
        self.world: World = world_of(machine)
        trees = Root(machine).world().splitlines()
        self.trees = {line for line in trees if not any(part in line for part in LEFT_OUT)}
        look = "ls /sys/module; grub-editenv /boot/grub/grubenv list 2>&1 || true; cat /boot/grub/grub.cfg"
        self.boot = machine.run(["/bin/sh", "-c", look]).stdout

    def differences(self, other: "Everything") -> set[str]:
        found = differences(self.world, other.world)
        found |= self.trees ^ other.trees
        return found | (set(self.boot.splitlines()) ^ set(other.boot.splitlines()))


class Trial:
    """One set of steps on one machine, done and undone again and again."""

    def __init__(self, machine: ThrowawayMachine, steps: tuple[Step, ...]) -> None:
        put_into_helper(machine)
        self.machine, self.steps, self.runs = machine, steps, Runs(machine)
        self.before = Everything(machine)

    def do(self) -> str:
        """A run of the steps, however it ends."""
        run_id = self.runs.take(*self.steps)
        self.runs.carry_out(run_id)
        return run_id

    def undo(self, run_id: str) -> list[str]:
        """Undo the run; what is not as it was before."""
        said = self.machine.run(self.runs.argv("undo", run_id))
        if said.returncode != 0:
            assert "changed nothing" in said.stderr, said.stderr
            return self.amiss()
        state = self.runs.carry_out(said.stdout.strip())
        return [*self.amiss(), *([] if state["status"] == "done" else [str(state)])]

    def undo_struck(self, run_id: str, number: int, when: str) -> list[str]:
        """Undo the run with a failure on the way, and go on with that undo; what is not as it was before."""
        undo = self.runs.ask("undo", run_id)
        strike(self.machine, number, when)
        struck = self.runs.carry_out(undo)
        strike_no_more(self.machine)
        if struck["status"] != "done":
            self.runs.ask("retry", undo)
            struck = self.runs.end(undo)
        elif "failed" in statuses(struck).values():
            # What may be in use stays where it cannot be taken back, and the undo is over: ask for another.
            return self.undo(run_id)
        return [*self.amiss(), *([] if struck["status"] == "done" else [str(struck)])]

    def amiss(self) -> list[str]:
        return sorted(self.before.differences(Everything(self.machine)))

    def operations_of(self, work: Callable[[], object]) -> int:
        """How many operations of root's that takes."""
        strike(self.machine, 0, "never")
        work()
        return len(operations(self.machine))


@pytest.fixture
def with_grub(program_machine: ThrowawayMachine) -> ThrowawayMachine:
    grub(program_machine, "", HERE)
    program_machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "set", "saved_entry=0"])
    return program_machine


SETS = {
    "access": ("host", ACCESS_STEPS),
    "software": ("host", SOFTWARE_STEPS),
    "boot loader": ("with_grub", BOOT_STEPS),
}
"""Which machine, and which steps."""


@pytest.mark.parametrize("name", SETS)
def test_all_is_as_before_whatever_failed(
    request: pytest.FixtureRequest, name: str, tries: Tries, counts: Counts, seed: int
) -> None:
    if not Path("/dev/kvm").exists():
        pytest.skip("the steps give /dev/kvm away, and there is none")
    fixture, steps = SETS[name]
    trial = Trial(request.getfixturevalue(fixture), steps)
    done: list[str] = []
    forwards = trial.operations_of(lambda: done.append(trial.do()))
    assert trial.amiss() != [], "the steps change nothing"
    backwards = trial.operations_of(lambda: trial.undo(done[0]))
    assert trial.amiss() == []
    chance = random.Random(seed)  # noqa: S311  -- no secret
    every = [
        (number, chance.choice(("before", "after")), undoing)
        for undoing, count in ((False, forwards), (True, backwards))
        for number in range(1, count + 1)
    ]
    chosen = chance.sample(every, tries(short=1, full=len(every)))
    amiss = {}
    for number, when, undoing in chosen:
        strike_no_more(trial.machine)
        if undoing:
            left = trial.undo_struck(trial.do(), number, when)
        else:
            strike(trial.machine, number, when)
            run_id = trial.do()
            strike_no_more(trial.machine)
            left = trial.undo(run_id)
        if left:
            amiss[f"{number} {when} {'undoing' if undoing else 'doing'}"] = left
            break
    counts(
        f"undone after a failure, {name}",
        operations=forwards,
        operations_of_undo=backwards,
        failures=len(chosen),
        not_as_before=len(amiss),
    )
    assert amiss == {}
