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
GONE_SECONDS = 30.0
TRIES_AT_WORK = 3
"""How often it is tried, in half of the time each, to close a terminal before root's step has ended."""


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
    wait_until(
        lambda: not processes(machine, "--euid", "alice", "tmux"), "the terminal is gone", GONE_SECONDS
    )


def journaled(machine: ThrowawayMachine) -> list[dict[str, Any]]:
    """The events of the run."""
    journals = list(machine.path(f"{STATE}/runs").glob("*/journal.jsonl"))
    lines = [line for journal in journals for line in journal.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line) for line in lines]


def begun(machine: ThrowawayMachine) -> list[str]:
    """The steps that the journal says were begun."""
    return [event["step"] for event in journaled(machine) if event["event"] == "step-started"]


def is_at_work(machine: ThrowawayMachine) -> bool:
    """Whether a step was begun that has not ended; all of them are root's."""
    return [event["event"] for event in journaled(machine)][-1:] == ["step-started"]


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

    closed: int = 0
    at_work: int = 0
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


@dataclass(frozen=True)
class Closing:
    """A terminal that is closed, and when."""

    number: int
    moment: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.number} {self.moment}, {self.seconds:.2f} s"

    def happen(self, machine: ThrowawayMachine) -> bool:
        """Whether root was at work right before."""
        terminal = opened(machine, by_wizard=self.number % 2 == 0)
        if self.moment != "asked":
            give_password(terminal)
        if self.moment == "at work":
            wait_until(lambda: bool(begun(machine)), "root's first step", RUN_SECONDS)
        time.sleep(self.seconds)
        at_work = is_at_work(machine)
        close(machine, terminal, by_kill=self.number % 4 < 2)
        return at_work


def try_once(program: Layer, undisturbed: World, closing: Closing, found: Found) -> bool:
    """Whether root was at work when the terminal was closed; what came of it is added to what was found."""
    with fresh_machine(program) as machine:
        before = world_of(machine)
        at_work = closing.happen(machine)
        wait_for_rest(machine)
        found.look(machine, before, str(closing))
        if run_state(machine)["status"] != "done":
            go_on(machine)
        if differences(undisturbed, world_of(machine)):
            found.different.append(str(closing))
    found.closed += 1
    found.at_work += at_work
    return at_work


def test_the_terminal_closed_around_sudo_s_installation(
    program_base: Layer, undisturbed: World, tries: Tries, counts: Counts, seed: int
) -> None:
    chances = random.Random(seed)  # noqa: S311  -- moments, not secrets
    found, too_late = Found(), []
    for number in range(tries(short=3, full=30)):
        moment, most = list(MOMENTS.items())[number % len(MOMENTS)]
        seconds = chances.uniform(0, most)
        # A fast machine may have finished before: only an earlier moment shows what a closed terminal does.
        closings = [Closing(number, moment, seconds / 2**again) for again in range(TRIES_AT_WORK)]
        wanted = closings if moment == "at work" else closings[:1]
        met = any(try_once(program_base, undisturbed, closing, found) for closing in wanted)
        if moment == "at work" and not met:
            too_late.append(str(closings[-1]))
    counts(
        "the terminal closed around sudo's installation",
        closed=found.closed,
        closed_while_root_was_at_work=found.at_work,
        runs_that_finished_by_themselves=found.finished,
        runs_not_begun=found.untouched,
        runs_in_between=len(found.between),
        machines_different_in_the_end=len(found.different),
    )
    assert found.between == []
    assert found.different == []
    assert too_late == []
    assert found.at_work > 0
