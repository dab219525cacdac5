import pytest

from tests.machine.layers import ALICE_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import NotShownError, Terminal

pytestmark = pytest.mark.root


def test_shows_what_is_typed_and_how_the_program_ends(machine: ThrowawayMachine) -> None:
    terminal = Terminal.open(machine, ["/bin/bash", "--norc"], user="alice", size=(120, 36))
    terminal.type("stty size; id -un; exit 5")
    terminal.press("Enter")
    assert terminal.wait_for_end() == 5
    terminal.wait_for("36 120", "alice")


def test_a_killed_program_is_seen_as_killed(machine: ThrowawayMachine) -> None:
    terminal = Terminal.open(machine, ["/bin/sleep", "600"])
    assert terminal.ended is None
    machine.do(["kill", "-9", str(terminal.process)])
    assert terminal.wait_for_end() == 137


def test_sudo_asks_on_it(machine: ThrowawayMachine) -> None:
    terminal = Terminal.open(machine, ["/usr/bin/sudo", "id", "-un"], user="alice")
    terminal.wait_for("password for alice")
    terminal.type(ALICE_PASSWORD)
    terminal.press("Enter")
    terminal.wait_for("root")
    assert ALICE_PASSWORD not in terminal.screen


def test_says_what_it_shows_when_it_waits_in_vain(machine: ThrowawayMachine) -> None:
    terminal = Terminal.open(machine, ["/bin/cat", "/etc/hostname", "-"])
    with pytest.raises(NotShownError, match="debian"):
        terminal.wait_for("something else", seconds=0.5)
    terminal.close()
    assert "cat" not in machine.do(["ps", "-e", "-o", "comm"]).split()


def test_a_login_keeps_the_groups_it_began_with(machine: ThrowawayMachine) -> None:
    terminal = Terminal.open(machine, ["/bin/bash", "--norc"], user="bob")
    machine.do(["groupadd", "virtual"])
    machine.do(["usermod", "-aG", "virtual", "bob"])
    terminal.type("echo groups: $(id -Gn).")
    terminal.press("Enter")
    terminal.wait_for("groups: bob.")
