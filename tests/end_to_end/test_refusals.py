"""What stands in the way of a run: said plainly, nothing lost, and gone on with when it is out of the way."""

import json
import time

import pytest

from tests.end_to_end.wizard import (
    KVMWIZARD,
    RUN_SECONDS,
    kvmwizard,
    open_wizard,
    page_shown,
    wait_for_page,
    wait_for_run,
    walk_to,
)
from tests.end_to_end.world import world_of
from tests.machine.layers import ALICE_PASSWORD, BOB_PASSWORD, Layer
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

LOCK_HOLDER = """\
import fcntl, sys
with open('/var/lib/dpkg/lock-frontend', 'r+b') as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print('held', flush=True)
    sys.stdin.read()
"""
REPEAT_SECONDS = 0.03
"""Between two characters of a key that is kept pressed."""
NOTHING_TO_INSTALL = {"qemu": {"qemu": {"source": "local", "path": "/usr/bin/qemu-system-x86_64"}}}


def agree(terminal: Terminal) -> None:
    """Walk to Review and press Enter there."""
    walk_to(terminal, "Review")
    terminal.wait_for("Enter carries them out")
    terminal.press("Enter")


def as_one_line(terminal: Terminal) -> str:
    """The screen's text with its lines joined, to look for whole sentences in."""
    return " ".join(terminal.screen.split())


def give(terminal: Terminal, password: str) -> None:
    terminal.type(password)
    terminal.press("Enter")


@pytest.mark.slow
def test_enter_kept_pressed_from_the_first_page_on_carries_nothing_out(
    program_machine: ThrowawayMachine,
) -> None:
    before = world_of(program_machine)
    terminal = open_wizard(program_machine)
    wait_for_page(terminal, "Welcome")
    until = time.monotonic() + RUN_SECONDS
    while "when no key was pressed for a moment" not in as_one_line(terminal):
        assert time.monotonic() < until, terminal.screen
        terminal.press("Enter")
        time.sleep(REPEAT_SECONDS)
    for _ in range(100):
        terminal.press("Enter")
        time.sleep(REPEAT_SECONDS)
    assert page_shown(terminal.screen) == "Review"
    terminal.wait_for("Enter carries them out")
    _, said, told = kvmwizard(program_machine, ["status"])
    assert "Nothing has been run yet" in said + told
    assert world_of(program_machine) == before


@pytest.mark.slow
def test_a_wrong_password_three_times_changes_nothing_and_can_be_tried_again(
    program_machine: ThrowawayMachine,
) -> None:
    before = world_of(program_machine)
    terminal = open_wizard(program_machine, user="alice")
    agree(terminal)
    terminal.wait_for("password for alice")
    give(terminal, "not it")
    terminal.wait_until(lambda shown: shown.count("Sorry, try again") == 1, "a second chance", 20)
    give(terminal, "not it either")
    terminal.wait_until(lambda shown: shown.count("Sorry, try again") == 2, "a third chance", 20)
    give(terminal, "never it")
    wait_for_page(terminal, "Review")
    terminal.wait_for("Nothing was done as root", "3 incorrect password attempts")
    assert world_of(program_machine) == before
    terminal.press("Enter")
    terminal.wait_for("password for alice")
    give(terminal, ALICE_PASSWORD)
    wait_for_page(terminal, "Run")
    terminal.wait_for("steps done.")


def test_who_may_not_use_sudo_is_told_so(program_machine: ThrowawayMachine) -> None:
    before = world_of(program_machine)
    terminal = open_wizard(program_machine, user="bob")
    agree(terminal)
    terminal.wait_for("password for bob")
    give(terminal, BOB_PASSWORD)
    wait_for_page(terminal, "Review")
    terminal.wait_for("Nothing was done as root")
    assert "bob is not in the sudoers file" in as_one_line(terminal)
    assert world_of(program_machine) == before


@pytest.mark.slow
def test_apts_lock_held_is_said_and_waited_for(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    holder = machine.popen(["/usr/bin/python3", "-c", LOCK_HOLDER], stdin=-1)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    terminal = open_wizard(machine)
    agree(terminal)
    wait_for_page(terminal, "Run")
    terminal.wait_for("Waiting for apt's lock, held by process", seconds=60)
    assert machine.run(["dpkg", "-s", "qemu-system-x86"]).returncode != 0
    holder.stdin.close()
    wait_for_run(terminal)
    assert machine.run(["dpkg", "-s", "qemu-system-x86"]).returncode == 0


@pytest.mark.slow
def test_without_a_network_the_run_fails_with_the_cause(program_base: Layer) -> None:
    with ThrowawayMachine.start(program_base.stack, network=False) as machine:
        machine.do(["sh", "-c", "rm -f /var/cache/apt/archives/*.deb"])
        terminal = open_wizard(machine)
        agree(terminal)
        wait_for_page(terminal, "Run")
        terminal.wait_for("A step failed", seconds=RUN_SECONDS)
        assert "The package servers cannot be reached" in as_one_line(terminal)
        terminal.press("q")
        terminal.wait_for_end()
        code, output, _ = kvmwizard(machine, ["status", "--json"])
        assert code == 1
        assert json.loads(output)["run"]["status"] == "failed"


def test_a_tiny_terminal_is_survived_and_can_be_made_larger(program_machine: ThrowawayMachine) -> None:
    terminal = open_wizard(program_machine, size=(20, 5))
    terminal.wait_until(lambda shown: shown.strip() != "", "anything", 20)
    for _ in range(3):
        terminal.press("Enter", "Down", "Up")
    assert terminal.ended is None
    terminal.resize(80, 24)
    screen = terminal.wait_until(lambda shown: page_shown(shown) is not None, "a whole page", 20)
    terminal.resize(20, 5)
    terminal.press("q")
    assert terminal.wait_for_end() == 0, screen


@pytest.mark.parametrize("page", ["Welcome", "Hardware"])
def test_a_terminal_that_is_hung_up_is_no_fault(program_machine: ThrowawayMachine, page: str) -> None:
    terminal = open_wizard(program_machine, user="alice")
    walk_to(terminal, page)
    running = terminal.process
    terminal.close()
    program_machine.run(["tail", f"--pid={running}", "--follow", "/dev/null"], timeout=20)
    left = program_machine.run(["ls", ".local/state/kvmwizard"], user="alice").stdout.split()
    assert set(left) <= {"session.json", "session.lock"}
    wait_for_page(open_wizard(program_machine, user="alice"), page)


def test_a_state_directory_that_may_not_be_read_is_refused(program_machine: ThrowawayMachine) -> None:
    program_machine.do(["mkdir", "--mode=0700", "/home/alice/state"])
    terminal = open_wizard(program_machine, "--state-dir", "state", user="alice")
    assert terminal.wait_for_end() == 2
    assert "/home/alice/state cannot be used: Permission denied" in as_one_line(terminal)


def test_plain_commands_in_a_tiny_terminal(program_machine: ThrowawayMachine) -> None:
    terminal = Terminal.open(program_machine, [KVMWIZARD, "plan"], size=(20, 5))
    assert terminal.wait_for_end() == 0


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param('{"acess": {}}', "acess", id="unknown key"),
        pytest.param('{"access": {"user": "nobody-here"}}', "nobody-here", id="unknown user"),
        pytest.param('{"access": ', "JSON", id="not JSON"),
        pytest.param(json.dumps(NOTHING_TO_INSTALL), "/usr/bin/qemu-system-x86_64", id="no such QEMU"),
    ],
)
def test_answers_that_cannot_be_used_are_refused_before_anything_is_done(
    program_machine: ThrowawayMachine, answers: str, said: str
) -> None:
    before = world_of(program_machine)
    program_machine.path("/root/answers.json").write_text(answers, encoding="ascii")
    code, output, complaints = kvmwizard(program_machine, ["apply", "--answers", "/root/answers.json"])
    assert code == 2, output + complaints
    assert said in complaints
    assert "Traceback" not in complaints
    assert world_of(program_machine) == before
