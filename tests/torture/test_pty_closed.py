"""The terminal closed while root is asked for, and while root works: each step finishes, or was not begun."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Counts, Tries
from tests.end_to_end.wizard import KVMWIZARD, RUN_SECONDS, open_wizard, wait_for_page
from tests.end_to_end.world import World, differences, world_of
from tests.machine.layers import ALICE_PASSWORD, Layer
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal
from tests.torture.far_machine import STATE, lists_are_fresh, save_session, wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

ANSWERS = {"access": {"user": "alice", "now": True}}
APPLY = (KVMWIZARD, "apply", "--yes", "--no-verify")
MOMENTS = {"asked": 0.0, "answered": 1.0, "at work": 6.0}
"""When the terminal is closed: at sudo's question, and up to so many seconds after its answer, or after
root's first step began."""


@pytest.fixture(autouse=True, scope="module")
def needs_kvm() -> None:
    if not Path("/dev/kvm").exists():
        pytest.skip("no guest can be run with KVM where there is no /dev/kvm")


@contextmanager
def fresh_machine(program: Layer) -> Iterator[ThrowawayMachine]:
    """A machine without a network: what apt installs is at hand."""
    with ThrowawayMachine.start(program.stack, network=False) as machine:
        lists_are_fresh(machine)
        save_session(machine, ANSWERS, "review")
        yield machine


def give_password(terminal: Terminal) -> None:
    terminal.wait_for("password for alice", seconds=RUN_SECONDS)
    terminal.type(ALICE_PASSWORD)
    terminal.press("Enter")


def opened(machine: ThrowawayMachine, *, by_wizard: bool) -> Terminal:
    """A terminal on which sudo asks alice for her password."""
    if not by_wizard:
        terminal = Terminal.open(machine, APPLY, user="alice", size=(80, 120))
    else:
        terminal = open_wizard(machine, user="alice")
        wait_for_page(terminal, "Review")
        terminal.wait_for("Enter carries them out", seconds=RUN_SECONDS)
        terminal.press("Enter")
    terminal.wait_for("password for alice", seconds=RUN_SECONDS)
    return terminal


def close(machine: ThrowawayMachine, terminal: Terminal, *, by_kill: bool) -> None:
    """The pseudo-terminal's other side goes: told to, or killed, which tells nobody but by the hang-up."""
    if by_kill:
        machine.do(["kill", "-9", terminal.ask("#{pid}")])
    else:
        terminal.close()


def begun(machine: ThrowawayMachine) -> list[str]:
    """The steps that the journal says were begun."""
    journals = list(machine.path(f"{STATE}/runs").glob("*/journal.jsonl"))
    lines = [line for journal in journals for line in journal.read_bytes().split(b"\n")[:-1]]
    return [event["step"] for event in map(json.loads, lines) if event["event"] == "step-started"]


def processes(machine: ThrowawayMachine, *condition: str) -> str:
    return machine.run(["pgrep", "--list-full", *condition]).stdout


def wait_for_rest(machine: ThrowawayMachine) -> None:
    """Until nothing of alice's is at work any more, and no sudo and no package manager."""
    wait_until(
        lambda: (
            not processes(machine, "--euid", "alice", "--full", KVMWIZARD.rpartition("/")[0])
            and not processes(machine, "--exact", "sudo|apt-get|dpkg")
        ),
        "everything rests",
        RUN_SECONDS,
    )


def run_state(machine: ThrowawayMachine) -> dict[str, Any]:
    said = machine.run([KVMWIZARD, "status", "--json"], user="alice")
    state: dict[str, Any] = json.loads(said.stdout)["run"]
    return state


def go_on(machine: ThrowawayMachine) -> None:
    """As alice would on a new terminal."""
    terminal = Terminal.open(machine, APPLY, user="alice", size=(80, 120))
    wait_until(
        lambda: terminal.ended is not None or "password for alice" in terminal.screen, "an end", RUN_SECONDS
    )
    if terminal.ended is None:
        give_password(terminal)
    assert terminal.wait_for_end(RUN_SECONDS) == 0, terminal.screen


@pytest.fixture(scope="module")
def undisturbed(program_base: Layer) -> World:
    """How a machine is after a run on whose terminal nothing happened."""
    with fresh_machine(program_base) as machine:
        go_on(machine)
        return world_of(machine)


@dataclass
class Found:
    """What came of closing terminals."""

    finished: int = 0
    untouched: int = 0
    between: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    def look(self, machine: ThrowawayMachine, before: World, name: str) -> None:
        """At rest every root step has been finished, or none was begun."""
        statuses = {step["status"] for step in run_state(machine)["steps"]}
        if statuses <= {"done", "skipped"}:
            self.finished += 1
        elif not begun(machine) and differences(before, world_of(machine)) == set():
            self.untouched += 1
        else:
            self.between.append(f"{name}: {statuses}")
        half = machine.run(["dpkg", "--audit"]).stdout
        if half:
            self.between.append(f"{name}: {half}")
        faults = list(machine.path(STATE).glob("fault-*"))
        if faults:
            self.between.append(f"{name}: {faults[0].read_text(encoding='utf-8')}")


def test_the_terminal_closed_around_sudo_s_installation(
    program_base: Layer, undisturbed: World, tries: Tries, counts: Counts, seed: int
) -> None:
    chances = random.Random(seed)  # noqa: S311  -- moments, not secrets
    found = Found()
    number = tries(short=3, full=30)
    for each in range(number):
        moment, most = list(MOMENTS.items())[each % len(MOMENTS)]
        name = f"{each} {moment}"
        with fresh_machine(program_base) as machine:
            before = world_of(machine)
            terminal = opened(machine, by_wizard=each % 2 == 0)
            if moment != "asked":
                give_password(terminal)
            if moment == "at work":
                wait_until(lambda: bool(begun(machine)), "root's first step", RUN_SECONDS)
            time.sleep(chances.uniform(0, most))
            close(machine, terminal, by_kill=each % 4 < 2)
            wait_for_rest(machine)
            found.look(machine, before, name)
            if run_state(machine)["status"] != "done":
                go_on(machine)
            if differences(undisturbed, world_of(machine)):
                found.different.append(name)
    counts(
        "the terminal closed around sudo's installation",
        closed=number,
        runs_that_finished_by_themselves=found.finished,
        runs_not_begun=found.untouched,
        runs_in_between=len(found.between),
        machines_different_in_the_end=len(found.different),
    )
    assert found.between == []
    assert found.different == []
