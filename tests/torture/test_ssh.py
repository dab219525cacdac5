"""The connection cut in the middle of every page and of builds: nothing stops, nothing is lost."""

import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Counts, Tries
from tests.end_to_end.wizard import (
    KVMWIZARD,
    PAGE_SECONDS,
    RUN_SECONDS,
    is_settled,
    page_shown,
    wait_for_page,
)
from tests.machine.layers import ALICE_PASSWORD, Layer
from tests.machine.terminal import Terminal
from tests.torture.far_machine import (
    STATE,
    WAIT_SECONDS,
    FarMachine,
    Sanity,
    far_machine,
    mirror_of,
    save_session,
    wait_until,
)
from tests.torture.slow_kernel import RELEASE, VERSION, slow_kernel

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

CONFIGURATION = "/srv/small.config"
FINISH = "/srv/finish"
WAYS = ("reset", "session killed", "client killed", "silence")
WAYS_IN_A_RUN = ("vanished", "reset", "session killed", "client killed")


@pytest.fixture
def far(program_base: Layer) -> Iterator[FarMachine]:
    with far_machine(program_base) as machine:
        yield machine


@pytest.fixture
def answers(far: FarMachine) -> Iterator[dict[str, Any]]:
    """A small kernel from a mirror, QEMU as packages, access for alice."""
    with ExitStack() as stack:
        tree = slow_kernel(Path(stack.enter_context(tempfile.TemporaryDirectory())), until=FINISH)
        said = stack.enter_context(mirror_of(far.machine, VERSION, tree))
        far.machine.path(CONFIGURATION).write_bytes((tree / "default.config").read_bytes())
        yield {
            "welcome": {"route": "source"},
            "sources": {"kernel_mirror": said["kernel_url"], "kernel_key": said["key"]},
            "kernel": {"kernel": {"source": "release", "version": VERSION}},
            "kernel_build": {"base": "file", "base_file": CONFIGURATION, "features": ["kvm"]},
            "kernel_options": {"modules": []},
            "qemu": {"qemu": {"source": "distribution"}},
            "access": {"user": "alice"},
        }


@dataclass
class Near:
    """bob's terminal, and what was seen of it over all cuts."""

    far: FarMachine
    terminal: Terminal
    sane: Sanity
    cuts: int = 0
    other_settings: int = 0
    longest: float = 0.0

    @classmethod
    def of(cls, far: FarMachine) -> "Near":
        terminal = far.near_terminal()
        return cls(far, terminal, far.sanity(terminal))

    def cut(self, way: str) -> None:
        """Cut the connection; bob's shell must be back, with the terminal's settings as they were."""
        self.cuts += 1
        self.longest = max(self.longest, self.far.cut(way))
        wait_until(lambda: not self.far.clients(), "the client ends")
        self.terminal.wait_for("bash-", seconds=WAIT_SECONDS)
        self.other_settings += self.far.sanity(self.terminal).settings != self.sane.settings

    def vanish(self) -> None:
        """Go without a word to the far side, and come back: its wizard is ended, and a new one goes on."""
        self.cuts += 1
        left = self.far.wizards()
        self.far.vanish()
        self.terminal.wait_for("bash-", seconds=WAIT_SECONDS)
        self.other_settings += self.far.sanity(self.terminal).settings != self.sane.settings
        assert self.far.wizards() == left, "it has missed nothing"
        self.far.open_wizard(self.terminal)
        self.terminal.wait_for("open already in another terminal", seconds=WAIT_SECONDS)
        self.terminal.press("Down", "Down")
        self.terminal.wait_for("▸ End the other one", seconds=WAIT_SECONDS)
        self.terminal.press("Enter")
        wait_for_page(self.terminal, "Run")
        assert not set(left) & set(self.far.wizards())

    def log_in_again(self, page: str) -> None:
        """Open the wizard over a new connection; it must stand where it stood."""
        self.far.open_wizard(self.terminal)
        wait_for_page(self.terminal, page)
        assert self.far.sanity(self.terminal).alternate_screen

    def leave(self) -> None:
        """Leave the wizard by its key; bob's terminal must then be as if nothing had happened."""
        self.terminal.press("q")
        self.assert_sane()

    def assert_sane(self) -> None:
        wait_until(lambda: not self.far.clients(), "the wizard and the connection end")
        self.terminal.wait_for("bash-", seconds=WAIT_SECONDS)
        wait_until(lambda: self.far.sanity(self.terminal) == self.sane, "the terminal is as it was")


def settled(terminal: Terminal) -> str:
    return terminal.wait_until(is_settled, "a page that has read the machine", PAGE_SECONDS)


def next_page(terminal: Terminal, page: str) -> str:
    """The title of the page that comes after this one, once it is shown."""
    shown = terminal.wait_until(lambda screen: page_shown(screen) not in {None, page}, "the next page")
    return str(page_shown(shown))


def saved_answers(far: FarMachine) -> dict[str, Any]:
    session = json.loads(far.machine.path(f"{STATE}/session.json").read_bytes())
    return {page: answer for page, answer in session["answers"].items() if answer is not None}


def test_a_cut_connection_leaves_the_wizard_and_the_terminal_as_they_were(
    far: FarMachine, counts: Counts
) -> None:
    near = Near.of(far)
    near.log_in_again("Welcome")
    near.cut("reset")
    near.log_in_again("Welcome")
    settled(near.terminal)
    near.terminal.press("Enter")
    wait_for_page(near.terminal, "Hardware")
    near.cut("session killed")
    near.log_in_again("Hardware")
    # Told to end while the connection stands, the wizard puts the terminal back itself.
    far.signal_wizards("HUP")
    near.assert_sane()
    counts("the SSH connection cut", cuts=near.cuts, terminals_set_otherwise=near.other_settings)
    assert near.other_settings == 0
    assert not list(far.machine.path(STATE).glob("fault-*"))


@pytest.mark.slow
def test_the_connection_cut_on_every_page(
    far: FarMachine, answers: dict[str, Any], tries: Tries, counts: Counts
) -> None:
    save_session(far.machine, answers)
    before = saved_answers(far)
    near = Near.of(far)
    near.log_in_again("Welcome")
    each = tries(short=1, full=3)
    pages: list[str] = []
    page = "Welcome"
    while True:
        pages.append(page)
        for number in range(each):
            settled(near.terminal)
            near.cut(WAYS[(len(pages) + number) % len(WAYS)])
            near.log_in_again(page)
        if page == "Review":
            break
        settled(near.terminal)
        near.terminal.press("Enter")
        page = next_page(near.terminal, page)
    for number in range(each):
        near.terminal.wait_for("Enter carries them out", seconds=RUN_SECONDS)
        near.terminal.press("Enter")
        near.terminal.wait_for("password for alice", seconds=RUN_SECONDS)
        near.cut(WAYS[number % len(WAYS)])
        wait_until(lambda: not far.processes("root", "^sudo "), "sudo's question ends with its terminal")
        near.far.open_wizard(near.terminal)
        near.terminal.wait_until(lambda shown: page_shown(shown) in {"Run", "Review"}, "where one was")
        if page_shown(near.terminal.screen) == "Run":
            near.terminal.wait_for("has not begun")
            near.terminal.press("Escape")
            wait_for_page(near.terminal, "Review")
    near.leave()
    for name in ("HUP", "TERM"):
        near.log_in_again("Review")
        far.signal_wizards(name)
        near.assert_sane()
    lost = sum(saved_answers(far).get(name) != answer for name, answer in before.items())
    counts(
        "the SSH connection cut on pages",
        cuts=near.cuts,
        pages=len(pages) + 1,
        answers_lost=lost,
        terminals_set_otherwise=near.other_settings,
        most_seconds_to_the_wizard_s_end=round(near.longest, 1),
    )
    assert lost == near.other_settings == 0
    assert {"Welcome", "Hardware", "Kernel", "Kernel build", "QEMU", "Access", "Review"} <= set(pages)
    assert not list(far.machine.path(STATE).glob("fault-*"))


class Build:
    """The run that was begun over the first connection."""

    def __init__(self, far: FarMachine) -> None:
        self._far = far
        (self.directory,) = far.machine.path(f"{STATE}/runs").iterdir()

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.directory / "journal.jsonl").read_bytes().split(b"\n")[:-1]
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def wait_for_step(self, step: str) -> None:
        wait_until(
            lambda: step in [event["step"] for event in self.events("step-started")], step, RUN_SECONDS
        )

    def log(self, step: str) -> bytes:
        return (self.directory / "logs" / f"{step}.log").read_bytes()

    def seen(self, step: str) -> bytes:
        """The log as a new login shows it."""
        return self._far.far_bytes(KVMWIZARD, "log", "--raw", step)

    def state(self) -> dict[str, Any]:
        """`kvmwizard status` of a new login."""
        state: dict[str, Any] = json.loads(self._far.far(KVMWIZARD, "status", "--json").stdout)["run"]
        return state


@pytest.mark.slow
def test_a_build_goes_on_while_the_connection_is_cut(
    far: FarMachine, answers: dict[str, Any], tries: Tries, counts: Counts, seed: int
) -> None:
    chances = random.Random(seed)  # noqa: S311  -- moments, not secrets
    save_session(far.machine, answers, "review")
    near = Near.of(far)
    near.log_in_again("Review")
    near.terminal.wait_for("Enter carries them out", seconds=RUN_SECONDS)
    near.terminal.press("Enter")
    near.terminal.wait_for("password for alice", seconds=RUN_SECONDS)
    near.terminal.type(ALICE_PASSWORD)
    near.terminal.press("Enter")
    wait_for_page(near.terminal, "Run")
    build = Build(far)
    compared = 0
    # The first cut is while root's apt-get works, the others while the kernel compiles.
    for number in range(tries(short=2, full=20)):
        build.wait_for_step("packages.install" if number == 0 else "kernel.compile")
        time.sleep(chances.uniform(0, 0.3))
        way = WAYS_IN_A_RUN[number % len(WAYS_IN_A_RUN)]
        if way == "vanished":
            near.vanish()
        else:
            near.cut(way)
        far.hang_up()
        assert build.state()["status"] == "running"
        if number:
            least = build.log("kernel.compile")
            seen = build.seen("kernel.compile")
            assert seen.startswith(least)
            wait_until(lambda: len(build.log("kernel.compile")) > len(seen), "the build goes on")  # noqa: B023  -- asked at once
            assert build.log("kernel.compile").startswith(seen)
            compared += len(seen)
        if way != "vanished":
            near.log_in_again("Run")
    far.machine.path(FINISH).touch()
    wait_until(lambda: build.state()["status"] != "running", "the end of the run", RUN_SECONDS)
    assert build.state()["status"] in {"done", "needs-restart"}, build.state()
    started = [event["step"] for event in build.events("step-started")]
    different = sum(build.seen(step) != build.log(step) for step in started)
    compared += sum(len(build.log(step)) for step in started)
    near.leave()
    counts(
        "the SSH connection cut while a run is under way",
        cuts=near.cuts,
        runners=len(build.events("runner-started")),
        steps=len(started),
        steps_begun_twice=len(started) - len(set(started)),
        bytes_of_logs_compared=compared,
        logs_that_differ=different,
        terminals_set_otherwise=near.other_settings,
        most_seconds_to_the_wizard_s_end=round(near.longest, 1),
    )
    assert build.events("step-failed") == []
    assert far.machine.path(f"/boot/vmlinuz-{RELEASE}").is_file()
    assert different == near.other_settings == 0
    assert len(started) == len(set(started)), "each step was begun once"
    assert len(build.events("runner-started")) == 1
    assert not list(far.machine.path(STATE).glob("fault-*"))
