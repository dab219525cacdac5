"""kill -9 at any moment: what was answered stays, and the run ends the same."""

import contextlib
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.wizard import (
    KVMWIZARD,
    PAGE_SECONDS,
    PAGES,
    RUN_SECONDS,
    is_settled,
    kvmwizard,
    open_wizard,
    select,
    wait_for_page,
    wait_for_proof,
    wait_for_run,
)
from tests.end_to_end.world import World, differences, world_of
from tests.machine.layers import Layer
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

STATE = "/root/.local/state/kvmwizard"
STEPS = (
    "packages.refresh",
    "packages.install",
    "access.group",
    "access.member",
    "access.rule",
    "access.device",
    "access.now",
    "access.prove",
)
ANSWERS = {"access": {"user": "alice", "now": True}}
STEP_SECONDS = 120


@pytest.fixture(autouse=True, scope="module")
def needs_kvm() -> None:
    if not Path("/dev/kvm").exists():
        pytest.skip("no guest can be run with KVM where there is no /dev/kvm")


def kill_and_open_again(machine: ThrowawayMachine, terminal: Terminal) -> Terminal:
    """kill -9 the wizard, and start it again in a terminal of its own."""
    machine.do(["kill", "-9", str(terminal.process)])
    assert terminal.wait_for_end() == 128 + signal.SIGKILL
    terminal.close()
    return open_wizard(machine)


@pytest.mark.slow
def test_the_wizard_killed_on_every_page(program_machine: ThrowawayMachine) -> None:
    machine = program_machine
    terminal = open_wizard(machine)
    wait_for_page(terminal, PAGES[0])
    for page, following in itertools.pairwise(PAGES[:9]):
        terminal = kill_and_open_again(machine, terminal)
        wait_for_page(terminal, page)
        terminal.wait_until(is_settled, "a page that has read the machine", PAGE_SECONDS)
        if page == "QEMU options":
            select(terminal, "UEFI firmware")
            terminal.press("Space")
            terminal.wait_for("[✔] UEFI firmware")
            terminal = kill_and_open_again(machine, terminal)
            terminal.wait_for("[✔] UEFI firmware", "[✔] Image tools")
            select(terminal, "UEFI firmware")
            terminal.press("Space")
            terminal.wait_for("[ ] UEFI firmware")
        if page == "Access":
            select(terminal, "alice")
            terminal.press("Space")
            terminal.wait_for("(●) alice")
            terminal = kill_and_open_again(machine, terminal)
            terminal.wait_for("(●) alice")
        if page == "Review":
            terminal.wait_for("Enter carries them out")
        terminal.press("Enter")
        wait_for_page(terminal, following)
    terminal = kill_and_open_again(machine, terminal)
    wait_for_run(terminal)
    started = [event["step"] for event in events(machine) if event["event"] == "step-started"]
    assert len(started) == len(set(started)), "no step ran twice"
    assert sum(event["event"] == "runner-started" for event in events(machine)) == 1
    terminal.press("Enter")
    wait_for_page(terminal, "Proof")
    terminal = kill_and_open_again(machine, terminal)
    wait_for_proof(terminal)


def events(machine: ThrowawayMachine) -> list[dict[str, Any]]:
    """Everything that the only run's journal says so far."""
    for journal in machine.path(f"{STATE}/runs").glob("*/journal.jsonl"):
        # What has no end yet is being written.
        lines = journal.read_text("ascii").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]
    return []


def live_number(machine: ThrowawayMachine, inside: int) -> int:
    """The live process number of a process of the machine (NSpid of proc(5))."""
    namespace = machine.namespace("pid")
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:"))
            if numbers.split()[-1] == str(inside) and (status.parent / "ns/pid").readlink() == namespace:
                return int(status.parent.name)
    raise AssertionError(f"no process {inside} in the machine")


def apply_plan(machine: ThrowawayMachine) -> None:
    """Begin the run, or go on with it, to its good end."""
    code, output, complaints = kvmwizard(machine, ["apply", "--yes", "--no-verify"], timeout=RUN_SECONDS)
    assert code == 0, output + complaints


def answer(machine: ThrowawayMachine) -> None:
    """Leave the answers where `apply` finds them."""
    machine.path("/root/answers.json").write_text(json.dumps(ANSWERS), encoding="ascii")


def wait_for_event(machine: ThrowawayMachine, seconds: float, **wanted: str) -> dict[str, Any]:
    """Watch the journal as closely as possible."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in events(machine):
            if all(event.get(name) == value for name, value in wanted.items()):
                return event
        time.sleep(0.001)
    raise AssertionError(f"{wanted} not in {events(machine)}")


@pytest.fixture(scope="module")
def undisturbed(program_base: Layer) -> Iterator[World]:
    """How a machine is after a run that nobody disturbed."""
    with ThrowawayMachine.start(program_base.stack) as machine:
        answer(machine)
        code, output, complaints = kvmwizard(
            machine, ["apply", "--answers", "/root/answers.json", "--no-verify"], timeout=RUN_SECONDS
        )
        assert code == 0, output + complaints
        assert tuple(event["step"] for event in events(machine) if event["event"] == "step-done") == STEPS
        yield world_of(machine)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_the_runner_killed_in_every_step(
    program_machine: ThrowawayMachine, undisturbed: World, step: str
) -> None:
    machine = program_machine
    answer(machine)
    first = machine.popen([KVMWIZARD, "apply", "--answers", "/root/answers.json", "--no-verify"])
    runner = live_number(machine, wait_for_event(machine, 30, event="runner-started")["pid"])
    wait_for_event(machine, STEP_SECONDS, event="step-started", step=step)
    os.kill(runner, signal.SIGKILL)
    assert first.wait(STEP_SECONDS) == 3
    code, output, _ = kvmwizard(machine, ["status"])
    assert code == 3, output
    apply_plan(machine)
    assert differences(undisturbed, world_of(machine)) == set()
    done = [event["step"] for event in events(machine) if event["event"] in {"step-done", "step-skipped"}]
    assert tuple(done) == STEPS, "each step ended well, once"


@pytest.mark.slow
def test_everything_killed_while_packages_are_installed(
    program_machine: ThrowawayMachine, undisturbed: World
) -> None:
    machine = program_machine
    answer(machine)
    first = machine.popen([KVMWIZARD, "apply", "--answers", "/root/answers.json", "--no-verify"])
    wait_for_event(machine, STEP_SECONDS, event="step-started", step="packages.install")
    deadline = time.monotonic() + STEP_SECONDS
    while "half-" not in machine.path("/var/log/dpkg.log").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    machine.run(["sh", "-c", "kill -9 -1"])
    first.wait(STEP_SECONDS)
    apply_plan(machine)
    assert differences(undisturbed, world_of(machine)) == set()
