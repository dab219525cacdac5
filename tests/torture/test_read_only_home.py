"""A home that nothing can be written to: another place is offered on the spot, and no answer is lost."""

import re

import pytest

from tests.conftest import Counts
from tests.end_to_end.wizard import open_wizard, select, wait_for_page, walk_to
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = pytest.mark.root

HOME = "/home/alice"
READ_ONLY = f"mount --bind {HOME} {HOME} && mount -o remount,bind,ro {HOME}"
FULL = (
    f"mount -t tmpfs -o size=4k,mode=755,uid=$(id -u alice) none {HOME} && head -c 4096 /dev/zero > {HOME}/x"
)
NOT_HERS = f"chown root {HOME} && chmod 555 {HOME}"


def one_line(screen: str) -> str:
    """The text of the dialog on the screen, else all of it, as one line."""
    dialog = re.findall(r"│(.*)│", screen)
    return " ".join(" ".join(dialog or [screen]).split())


def place_of(machine: ThrowawayMachine) -> str:
    return f"/var/tmp/kvmwizard-{machine.do(['id', '-u', 'alice']).strip()}"


def offered(machine: ThrowawayMachine, place: str) -> Terminal:
    """Open the wizard, and wait until it offers the other place."""
    terminal = open_wizard(machine, user="alice")
    wanted = f"Keep your answers in {place} instead?"
    terminal.wait_until(lambda screen: wanted in one_line(screen), "another place")
    return terminal


def agree(terminal: Terminal) -> None:
    terminal.press("Down")
    terminal.wait_for("▸ Yes, keep them there")
    terminal.press("Enter")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(READ_ONLY, "Read-only file system", id="read-only"),
        pytest.param(FULL, "No space left on device", id="full", marks=pytest.mark.slow),
        pytest.param(NOT_HERS, "Permission denied", id="not hers", marks=pytest.mark.slow),
    ],
)
def test_another_place_is_offered_and_keeps_the_answers(
    program_machine: ThrowawayMachine, counts: Counts, spoil: str, reason: str
) -> None:
    machine = program_machine
    place = place_of(machine)
    machine.do(["/bin/sh", "-c", spoil])
    terminal = offered(machine, place)
    assert reason in one_line(terminal.screen), terminal.screen
    assert machine.run(["test", "-e", place]).returncode != 0, "nothing is made before it is agreed to"
    agree(terminal)
    walk_to(terminal, "QEMU options")
    select(terminal, "UEFI firmware")
    terminal.press("Space")
    terminal.wait_for("[✔] UEFI firmware")
    machine.do(["kill", "-9", str(terminal.process)])
    again = offered(machine, place)
    agree(again)
    wait_for_page(again, "QEMU options")
    again.wait_for("[✔] UEFI firmware")
    again.press("q")
    assert again.wait_for_end() == 0
    assert f"--state-dir {place}" in one_line(again.screen)
    assert machine.do(["stat", "-c", "%a %U", place]).split() == ["700", "alice"]
    counts(f"A home that takes nothing, {reason}", offered=place)


@pytest.mark.slow
def test_the_answers_of_a_home_that_became_read_only_come_along(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    terminal = open_wizard(machine, user="alice")
    walk_to(terminal, "QEMU options")
    select(terminal, "UEFI firmware")
    terminal.press("Space")
    terminal.wait_for("[✔] UEFI firmware")
    terminal.press("q")
    terminal.wait_for_end()
    machine.do(["/bin/sh", "-c", READ_ONLY])
    moved = offered(machine, place_of(machine))
    agree(moved)
    wait_for_page(moved, "QEMU options")
    moved.wait_for("[✔] UEFI firmware")


@pytest.mark.slow
def test_who_declines_is_told_why_it_ends(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    machine.do(["/bin/sh", "-c", READ_ONLY])
    terminal = offered(machine, place_of(machine))
    terminal.press("Enter")
    assert terminal.wait_for_end() == 2
    assert "Read-only file system" in one_line(terminal.screen)


@pytest.mark.slow
def test_a_place_of_somebody_elses_is_not_taken(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    place = place_of(machine)
    machine.do(["/bin/sh", "-c", READ_ONLY])
    machine.do(["install", "-d", "-o", "bob", "-m", "0777", place])
    offered(machine, place.replace("/var/tmp", "/tmp"))


@pytest.mark.slow
def test_a_directory_that_was_chosen_is_not_left(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    machine.do(["/bin/sh", "-c", READ_ONLY])
    terminal = open_wizard(machine, "--state-dir", f"{HOME}/state", user="alice")
    assert terminal.wait_for_end() == 2
    assert "Read-only file system" in one_line(terminal.screen)
