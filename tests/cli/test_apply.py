"""Carrying a plan out from the command line, for real, on throwaway machines."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.wizard import KVMWIZARD, PROOF_SECONDS, RUN_SECONDS, kvmwizard
from tests.end_to_end.world import differences, world_of
from tests.machine.layers import ALICE_PASSWORD, BOB_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not Path("/dev/kvm").exists(), reason="no guest can be run where there is no /dev/kvm"
    ),
]

QUESTION = "Carry this plan out? [y/N]"
ROOTS_ANSWERS = json.dumps({"access": {"user": "root"}})


def installed(machine: ThrowawayMachine) -> bool:
    return machine.path("/usr/bin/qemu-system-x86_64").exists()


def events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.slow
def test_a_person_agrees_and_gives_a_password(program_machine: ThrowawayMachine) -> None:
    before = world_of(program_machine)
    terminal = Terminal.open(program_machine, [KVMWIZARD, "apply"], user="alice", size=(80, 120))
    # Typed before the question is there: no answer to it.
    terminal.type("y\n")
    terminal.wait_for(QUESTION)
    terminal.type("perhaps\n")
    terminal.wait_for("Please answer y (yes) or n (no).")
    terminal.type("n\n")
    assert terminal.wait_for_end() == 1
    assert "Nothing was changed." in terminal.screen
    assert world_of(program_machine) == before
    words = [KVMWIZARD, "apply", "--no-verify"]
    terminal = Terminal.open(program_machine, words, user="alice", size=(80, 120))
    terminal.wait_for(QUESTION)
    terminal.type("y\n")
    terminal.wait_for("password for alice")
    terminal.type(ALICE_PASSWORD + "\n")
    assert terminal.wait_for_end(RUN_SECONDS) == 0, terminal.screen
    assert "a guest ran as alice" in terminal.screen
    code, output, _ = kvmwizard(program_machine, ["status", "--json"], user="alice")
    statuses = {step["id"]: step["status"] for step in json.loads(output)["run"]["steps"]}
    assert code == 0
    assert statuses["packages.install"] == "done"
    assert statuses["access.now"] == "done"


def test_who_may_not_use_sudo_changes_nothing_and_may_go_on_later(program_machine: ThrowawayMachine) -> None:
    before = world_of(program_machine)
    terminal = Terminal.open(program_machine, [KVMWIZARD, "apply", "--yes"], user="bob", size=(80, 120))
    terminal.wait_for("password for bob")
    terminal.type(BOB_PASSWORD + "\n")
    assert terminal.wait_for_end() == 3
    assert "Nothing was done as root" in terminal.screen
    assert world_of(program_machine) == before
    code, output, _ = kvmwizard(program_machine, ["status"], user="bob")
    assert code == 3
    assert "has not begun" in output
    assert "kvmwizard apply" in output


@pytest.mark.slow
def test_stopped_by_control_c_and_gone_on_with(program_machine: ThrowawayMachine) -> None:
    program_machine.path("/root/answers.json").write_text(ROOTS_ANSWERS)
    words = [KVMWIZARD, "apply", "--yes", "--no-verify"]
    terminal = Terminal.open(program_machine, words, size=(80, 120))
    terminal.wait_for("● Refresh the package lists")
    terminal.press("C-c")
    assert terminal.wait_for_end(RUN_SECONDS) == 3, terminal.screen
    assert "was stopped." in terminal.screen
    assert not installed(program_machine)
    assert kvmwizard(program_machine, ["status"])[0] == 3
    code, output, _ = kvmwizard(
        program_machine, ["apply", "--answers", "/root/answers.json", "--no-verify"], timeout=RUN_SECONDS
    )
    assert code == 0
    assert "Going on with run" in output
    assert "What will be done" not in output, "it was agreed to before"
    assert installed(program_machine)


@pytest.mark.slow
def test_programs_get_json_lines_and_another_terminal_the_log(program_machine: ThrowawayMachine) -> None:
    program_machine.path("/root/answers.json").write_text(ROOTS_ANSWERS)
    apply = program_machine.popen([KVMWIZARD, "apply", "--answers", "/root/answers.json", "--json"])
    assert apply.stdout is not None
    plan = json.loads(apply.stdout.readline())
    deadline = time.monotonic() + 30
    while not kvmwizard(program_machine, ["log", "packages.install"])[1]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    code, log, _ = kvmwizard(
        program_machine, ["log", "packages.install", "--follow", "--json"], timeout=RUN_SECONDS
    )
    assert code == 0
    assert any("Setting up qemu-system-x86" in event["line"] for event in events(log))
    rest, complaints = apply.communicate(timeout=RUN_SECONDS + PROOF_SECONDS)
    told = [plan, *events(rest)]
    # QEMU under KVM may hang on a busy kvm_pvm host: that finding is the proof's, and so is the exit code.
    assert apply.returncode == (0 if told[-1]["good"] else 1), complaints
    assert [told[0]["event"], told[-2]["event"], told[-1]["event"]] == ["plan", "ended", "proof"]
    assert {level["id"]: level["outcome"] for level in told[-1]["levels"]}["tiny-guest"] == "pass"
    assert [event["id"] for event in told if event.get("status") == "done" and event["event"] == "step"] == [
        step["id"] for step in plan["steps"]
    ]


@pytest.mark.slow
def test_undo_takes_back_the_last_run_and_no_other(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    machine.path("/root/answers.json").write_text(ROOTS_ANSWERS)
    machine.do(["apt-get", "update"])
    before = world_of(machine)
    apply = ["apply", "--answers", "/root/answers.json", "--no-verify"]
    assert kvmwizard(machine, apply, timeout=RUN_SECONDS)[0] == 0
    assert kvmwizard(machine, apply, timeout=RUN_SECONDS)[0] == 0, "a second run changes nothing"
    code, output, complaints = kvmwizard(machine, ["undo"])
    assert code == 2
    assert "What will be taken back" in output
    assert "Nobody can be asked here" in complaints
    assert installed(machine)
    code, output, _ = kvmwizard(machine, ["undo", "--yes"], timeout=RUN_SECONDS)
    assert code == 0
    assert output.splitlines()[-1].endswith(" is taken back.")
    assert not installed(machine)
    assert differences(before, world_of(machine)) == set()
    code, output, _ = kvmwizard(machine, ["undo", "--yes"])
    assert code == 0
    assert output.startswith("There is nothing to take back")
