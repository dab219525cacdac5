"""sudo missing, refused, timed out, interrupted, wrong passwords: no answer lost, and what to do by hand."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.conftest import Counts
from tests.end_to_end.wizard import kvmwizard, open_wizard, select, wait_for_page, walk_to
from tests.end_to_end.world import world_of
from tests.machine.layers import ALICE_PASSWORD, BOB_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.slow]

PURGE = "SUDO_FORCE_REMOVE=yes dpkg --force-remove-essential --purge sudo"
HASTE = "echo 'Defaults passwd_timeout=0.05' > /etc/sudoers.d/haste"
"""Three seconds: sudo reads it in minutes (sudoers(5))."""


def one_line(screen: str) -> str:
    return " ".join(screen.split())


def has_asked(times: int, screen: str) -> bool:
    return screen.count("[sudo] password") >= times


def give(terminal: Terminal, *passwords: str) -> None:
    """Answer sudo's questions, each once it is asked."""
    for number, password in enumerate(passwords):
        terminal.wait_until(partial(has_asked, number + 1), f"question {number + 1} of sudo's")
        terminal.type(password)
        terminal.press("Enter")


def interrupt(terminal: Terminal) -> None:
    terminal.wait_for("[sudo] password")
    terminal.press("C-c")


def need_not_answer(_terminal: Terminal) -> None:
    """sudo asks nothing, or nobody is there."""


@dataclass(frozen=True)
class Obstacle:
    """What stands between a person and root."""

    said: str
    """What of it is told."""
    user: str = "alice"
    made: str = "true"
    """The shell command that puts it in the way."""
    answer: Callable[[Terminal], None] = need_not_answer
    """What the person does when sudo asks."""


OBSTACLES = {
    "missing": Obstacle("There is no sudo on this machine", made=PURGE),
    "refused": Obstacle(
        "bob is not in the sudoers file", user="bob", answer=lambda terminal: give(terminal, BOB_PASSWORD)
    ),
    "timed out": Obstacle("timed out reading password", made=HASTE),
    "interrupted": Obstacle("sudo: a password is required", answer=interrupt),
    "three wrong passwords": Obstacle(
        "3 incorrect password attempts", answer=lambda terminal: give(terminal, "one", "two", "three")
    ),
}


def decided(machine: ThrowawayMachine, user: str) -> object:
    """The answers as they are saved."""
    path = machine.path(f"/home/{user}/.local/state/kvmwizard/session.json")
    return json.loads(path.read_bytes())["answers"]


@pytest.mark.parametrize("name", OBSTACLES)
def test_no_answer_is_lost_and_the_way_by_hand_is_told(
    program_machine: ThrowawayMachine, counts: Counts, name: str
) -> None:
    machine, obstacle = program_machine, OBSTACLES[name]
    terminal = open_wizard(machine, user=obstacle.user)
    walk_to(terminal, "QEMU options")
    select(terminal, "UEFI firmware")
    terminal.press("Space")
    terminal.wait_for("[✔] UEFI firmware")
    walk_to(terminal, "Review", begin="QEMU options")
    terminal.wait_for("Enter carries them out")
    machine.do(["/bin/sh", "-c", obstacle.made])
    answers, before = decided(machine, obstacle.user), world_of(machine)
    terminal.press("Enter")
    obstacle.answer(terminal)
    wait_for_page(terminal, "Review")
    terminal.wait_until(lambda screen: obstacle.said in one_line(screen), obstacle.said)
    by_hand = re.search(r"with (kvmwizard [^,]*),", one_line(terminal.screen))
    assert by_hand is not None, terminal.screen
    assert world_of(machine) == before
    assert decided(machine, obstacle.user) == answers
    machine.do(["kill", "-9", str(terminal.process)])
    again = open_wizard(machine, user=obstacle.user)
    wait_for_page(again, "Review")
    again.wait_for("Enter carries them out")
    lost = decided(machine, obstacle.user) != answers
    code, script, complaints = kvmwizard(machine, by_hand[1].split()[1:], user=obstacle.user)
    assert (code, complaints) == (0, "")
    assert script.startswith("#!/bin/sh")
    assert "ovmf" in script, "the script is of what was answered"
    counts(f"sudo {name}", answers_lost=int(lost), by_hand=by_hand[1])
    assert not lost


def test_once_the_obstacle_is_gone_the_same_key_goes_on(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    terminal = open_wizard(machine, "--state-dir", "elsewhere", user="alice")
    walk_to(terminal, "Review")
    terminal.wait_for("Enter carries them out")
    terminal.press("Enter")
    give(terminal, "one", "two", "three")
    wait_for_page(terminal, "Review")
    by_hand = "kvmwizard --state-dir /home/alice/elsewhere plan --format sh"
    terminal.wait_until(lambda screen: by_hand in one_line(screen), by_hand)
    terminal.press("Enter")
    give(terminal, ALICE_PASSWORD)
    wait_for_page(terminal, "Run")


@pytest.mark.parametrize(("made", "said"), [("true", "a password is required"), (PURGE, "There is no sudo")])
def test_unattended_it_ends_resumable_and_tells_the_way_by_hand(
    program_machine: ThrowawayMachine, made: str, said: str
) -> None:
    program_machine.do(["/bin/sh", "-c", made])
    before = world_of(program_machine)
    code, _, complaints = kvmwizard(program_machine, ["apply", "--yes"], user="alice", timeout=120)
    assert code == 3
    assert said in complaints
    assert ("Try again in a terminal" in complaints) is (made == "true")
    assert "kvmwizard plan --format sh" in complaints
    assert world_of(program_machine) == before
