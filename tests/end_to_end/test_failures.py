"""A step that fails: what is asked in a real terminal, each answer tried, and kill -9 while it is asked."""

import json
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_refusals import agree, as_one_line, give
from tests.end_to_end.wizard import RUN_SECONDS, kvmwizard, open_wizard, wait_for_page
from tests.machine.layers import ALICE_PASSWORD, Layer
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

FAILED_STEP = "packages.install"


def run_of(machine: ThrowawayMachine) -> dict[str, Any]:
    """How the run stands, as another login asks."""
    _, output, _ = kvmwizard(machine, ["status", "--json"], user="alice")
    run: dict[str, Any] = json.loads(output)["run"]
    return run


def status_of(machine: ThrowawayMachine, step_id: str = FAILED_STEP) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in run_of(machine)["steps"] if step["id"] == step_id)
    return found


def asked(terminal: Terminal) -> str:
    """Wait until the page asks what to do, and return it below its title, which the machine's name joins."""
    terminal.wait_for("A step failed", "Try again", "Skip this step", seconds=RUN_SECONDS)
    return terminal.screen.partition("\n")[2]


def failing(machine: ThrowawayMachine) -> Terminal:
    """The wizard of alice, at the run of a plan whose packages no server has."""
    machine.do(["sh", "-c", "rm -f /var/cache/apt/archives/*.deb"])
    terminal = open_wizard(machine, user="alice", env={"SHELL": "/bin/sh"})
    agree(terminal)
    terminal.wait_for("password for alice")
    give(terminal, ALICE_PASSWORD)
    wait_for_page(terminal, "Run")
    return terminal


def again(machine: ThrowawayMachine, terminal: Terminal) -> Terminal:
    """kill -9 the wizard, and open it again."""
    machine.do(["kill", "-9", str(terminal.process)])
    assert terminal.wait_for_end() == 128 + signal.SIGKILL
    terminal.close()
    return open_wizard(machine, user="alice", env={"SHELL": "/bin/sh"})


def try_a_shell(machine: ThrowawayMachine, terminal: Terminal) -> None:
    """As the user, in the folder of the logs; back by exit, and by kill -9 of the shell."""
    for leave in ("exit", "kill -9 $$"):
        terminal.press("o")
        terminal.wait_for("This is a shell of your own", "Type exit")
        terminal.type("id -un > ~/shell; pwd >> ~/shell; stty -echo")
        terminal.press("Enter")
        terminal.type(leave)
        terminal.press("Enter")
        asked(terminal)
        user, folder = machine.path("/home/alice/shell").read_text(encoding="utf-8").splitlines()
        assert user == "alice"
        assert folder.endswith("/logs")
        terminal.press("Down")
        terminal.wait_for("The run ends without it")
        terminal.press("Up")
        terminal.wait_for("done once more")


def try_a_report(machine: ThrowawayMachine, terminal: Terminal, folder: Path) -> None:
    """Shown first, then written for alice alone, without her name."""
    terminal.press("r")
    terminal.wait_for("Write this report to", "facts.json", "No, write nothing")
    terminal.press("Enter")
    asked(terminal)
    assert not list(machine.path("/home/alice").glob("*.tar.gz"))
    terminal.press("r")
    terminal.wait_for("Write this report to", "No, write nothing")
    terminal.press("Down", "Enter")
    terminal.wait_for("The report is in")
    (path,) = machine.path("/home/alice").glob("kvmwizard-report-*.tar.gz")
    assert machine.do(["stat", "-c", "%U %a", f"/home/alice/{path.name}"]).split() == ["alice", "600"]
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    packed = {each.name: each.read_text(encoding="utf-8") for each in folder.rglob("*") if each.is_file()}
    assert {"facts.json", "checks.json", "plan.json", "journal.jsonl", f"{FAILED_STEP}.log"} <= set(packed)
    for name, text in packed.items():
        assert "alice" not in text, name


def try_again(machine: ThrowawayMachine, terminal: Terminal) -> None:
    """It is done once more; root's helper may have gone meanwhile."""
    terminal.press("t")
    for _ in range(2):
        terminal.wait_until(
            lambda shown: "password for alice" in shown or status_of(machine)["attempts"] > 1,
            "the second attempt",
            RUN_SECONDS,
        )
        if status_of(machine)["attempts"] > 1:
            break
        give(terminal, ALICE_PASSWORD)
        terminal.wait_until(lambda shown: "password for" not in shown, "the wizard")
    terminal.wait_until(lambda _: run_of(machine)["status"] == "failed", "its end", RUN_SECONDS)
    asked(terminal)


def test_every_answer_to_a_failure(program_base: Layer, tmp_path: Path) -> None:
    with ThrowawayMachine.start(program_base.stack, network=False) as machine:
        terminal = failing(machine)
        first = asked(terminal)
        assert "The package servers cannot be reached" in as_one_line(terminal)
        terminal = again(machine, terminal)
        assert asked(terminal) == first, "the journal alone says what is asked"
        try_a_shell(machine, terminal)
        try_a_report(machine, terminal, tmp_path)
        terminal.press("u")
        terminal.wait_until(
            lambda shown: "Take back what the run" in shown or "nothing to take back" in shown, "the undo"
        )
        terminal.press("Escape")
        terminal = again(machine, terminal)
        asked(terminal)
        try_again(machine, terminal)
        terminal.press("s")
        terminal.wait_for("No other step needs it", "No, do not skip it")
        terminal.press("Enter")
        asked(terminal)
        assert status_of(machine)["status"] == "failed"
        terminal.press("s")
        terminal.wait_for("No, do not skip it")
        terminal.press("Down", "Enter")
        terminal.wait_for("Done, without one step", seconds=RUN_SECONDS)
        terminal = again(machine, terminal)
        terminal.wait_for("Done, without one step that was skipped")
        skipped = status_of(machine)
        assert (skipped["status"], skipped["left_out_by"]) == ("left-out", "alice")
        assert run_of(machine)["status"] == "done"
