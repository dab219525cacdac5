"""Restarts in any order: GRUB's choice, a kernel that panics, somebody at the menu, guests that do not run.

The runner and its journal are real. The machine is GRUB's environment block in a file, which the steps
write and a restart reads as GRUB does, and what the kernel says of itself and of its boot.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import BootsByDefault, BootsNext, GuestsProved, KernelRuns
from kvmwizard.plan.model import Condition, Plan, RunCommand, Step
from kvmwizard.run import observe, runner, store, trees
from kvmwizard.run.liveness import RunLock
from kvmwizard.run.model import RunStatus, StepStatus
from kvmwizard.run.runner import Runner
from kvmwizard.run.store import RunStore
from kvmwizard.words import say
from tests.conftest import Counts, Tries

OLD, NEW = "6.1.0-49-amd64", "6.12.104-kvmwizard"
ENTRY = "gnulinux-{}-advanced-x"
MOST_ROUNDS = 12
ROUNDS_TO_THE_END = 6
"""Go on, prepare the restart again, restart, go on: and one round more."""


@dataclass
class Machine:
    """What a run sees of a machine, and what becomes of it in a restart."""

    folder: Path
    boots: int = 1
    running: str = OLD

    @property
    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    @property
    def environment(self) -> Path:
        return self.folder / "grubenv"

    def remembers(self) -> dict[str, str]:
        """GRUB's environment block, the kernels by their releases."""
        lines = self.environment.read_text(encoding="ascii").splitlines()
        said = dict(line.split("=", 1) for line in lines)
        return {name: OLD if OLD in entry else NEW for name, entry in said.items()}

    def restart(self, *, panics: bool = False, picked: str | None = None) -> None:
        """The choice for one start counts once; after a panic somebody resets the machine."""
        said = self.remembers()
        self.environment.write_text(f"saved_entry={ENTRY.format(said['saved_entry'])}\n", encoding="ascii")
        started = picked or said.get("next_entry", said["saved_entry"])
        self.running = said["saved_entry"] if panics and started == NEW else started
        self.boots += 1

    def guests_run(self, *, yes: bool) -> None:
        (self.folder / "kvm").unlink(missing_ok=True)
        if yes:
            (self.folder / "kvm").touch()


def plan(machine: Machine) -> Plan:
    """The steps that a plan has from the boot menu on, in shell and without root."""

    def step(name: str, condition: Condition, *script: str) -> Step:
        actions = tuple(RunCommand(argv=("/bin/sh", "-c", line)) for line in script)
        needs = steps[-1:] and (steps[-1].id,)
        return Step(
            id=name,
            title=say("a step"),
            needs=needs,
            root=False,
            seconds=1,
            conditions=(condition,),
            actions=actions,
        )

    steps: list[Step] = []
    old, new, file = ENTRY.format(OLD), ENTRY.format(NEW), machine.environment
    for name, condition, script in (
        (
            "kernel.boot-once",
            BootsNext(release=NEW),
            f"printf 'saved_entry={old}\\nnext_entry={new}\\n' >{file}",
        ),
        ("kernel.restart", KernelRuns(release=NEW), None),
        ("kernel.proof", GuestsProved(release=NEW, user="alice"), f"test -e {machine.folder}/kvm"),
        ("kernel.default", BootsByDefault(release=NEW), f"printf 'saved_entry={new}\\n' >{file}"),
    ):
        steps.append(step(name, condition, *([script] if script else [])))
    return Plan(user="alice", qemu=None, kernel_release=NEW, steps=tuple(steps))


@dataclass
class Crossing:
    """One run on one machine."""

    machine: Machine
    runs: RunStore
    run_id: str
    went_on: int = 0

    @property
    def status(self) -> RunStatus:
        return self.runs.read(self.run_id).status

    def go_on(self) -> None:
        """As whoever opens the wizard or runs apply: a failed step is tried again."""
        machine, before = self.machine, self.status
        default = machine.remembers()["saved_entry"]
        # Nobody else is here to lock out.
        carrier = Runner(self.runs, self.run_id, RunLock(self.runs.directory(self.run_id)))
        carrier.begin(before is RunStatus.FAILED)
        carrier.work()
        self.went_on += 1
        self.check(before, default)

    def check(self, before: RunStatus, default: str) -> None:
        """What must hold whatever has happened."""
        said, state = self.machine.remembers(), self.runs.read(self.run_id)
        proved = (self.machine.folder / "kvm").exists()
        if default == OLD and said["saved_entry"] == NEW:
            assert self.machine.running == NEW, "a kernel that does not run is the default"
            assert proved, "a kernel that runs no guests is the default"
        if state.status is RunStatus.DONE:
            assert said["saved_entry"] == NEW
        elif self.machine.running == NEW:
            assert state.status is RunStatus.FAILED
            assert not proved
        elif before is RunStatus.RESTARTED:
            assert state.status is RunStatus.FAILED
            assert state.steps["kernel.restart"].status is StepStatus.FAILED
        else:
            assert state.status is RunStatus.NEEDS_RESTART, state.status
            assert said.get("next_entry") == NEW, "asked to restart, and the new kernel would not start"


def seen_as(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    """Let the run see this machine in place of the live one."""
    patch.setattr(trees, "GRUB_ENVIRONMENT", machine.environment)
    for module in (trees, observe):
        patch.setattr(module, "running_release", lambda: machine.running)
    for module in (runner, store):
        patch.setattr(module, "boot_id", lambda: machine.boot_id)


def happens(crossing: Crossing, chance: random.Random) -> None:
    """Something that people and machines do."""
    machine = crossing.machine
    event = chance.choice(("go on", "go on", "restart", "panic", "menu", "guests"))
    if event == "go on" and crossing.status is not RunStatus.DONE:
        crossing.go_on()
    elif event == "guests":
        machine.guests_run(yes=chance.random() < 0.5)
    elif event == "menu":
        machine.restart(picked=chance.choice((OLD, NEW)))
    elif event in {"restart", "panic"}:
        machine.restart(panics=event == "panic")


def test_whatever_happens_only_a_kernel_that_ran_and_ran_guests_is_the_default(
    tmp_path: Path, tries: Tries, seed: int, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = tries(short=12, full=400)
    restarts = went_on = wrong_defaults = 0
    for way in range(ways):
        chance = random.Random(seed * 1000 + way)  # noqa: S311  -- chance, not a secret
        machine = Machine(tmp_path / str(way))
        machine.folder.mkdir()
        machine.environment.write_text(f"saved_entry={ENTRY.format(OLD)}\n", encoding="ascii")
        seen_as(machine, monkeypatch)
        runs = RunStore(machine.folder / "state")
        crossing = Crossing(machine, runs, runs.create(plan(machine)))
        for _ in range(chance.randrange(MOST_ROUNDS)):
            happens(crossing, chance)
        machine.guests_run(yes=True)
        for _ in range(ROUNDS_TO_THE_END):
            if crossing.status is RunStatus.DONE:
                break
            crossing.go_on()
            if crossing.status is RunStatus.NEEDS_RESTART:
                machine.restart()
        assert crossing.status is RunStatus.DONE
        wrong_defaults += machine.remembers() != {"saved_entry": NEW}
        restarts, went_on = restarts + machine.boots - 1, went_on + crossing.went_on
    counts(
        "restarts in any order", ways=ways, restarts=restarts, went_on=went_on, wrong_defaults=wrong_defaults
    )
    assert wrong_defaults == 0
