"""The clock moved ten years either way, also in the middle of a step: no wrong timeout, nothing lost."""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import kvmwizard
import screens
from kvmwizard.catalog.cache import ListCache
from kvmwizard.catalog.listed import Listed
from kvmwizard.fetch.client import Patience, trouble_refused
from kvmwizard.job import Progress
from kvmwizard.run.launch import start_runner, stop_run
from kvmwizard.run.model import RunStatus, StepStatus
from kvmwizard.run.root_start import HELPER_PROGRAM
from kvmwizard.run.store import RunStore
from kvmwizard.run.workers import last_told
from kvmwizard.words import say
from screens.run_watch import RunSight, clock, step_entries
from screens.terminal import UNICODE_SIGNS
from tests.conftest import Counts
from tests.run.plans import files, plan_of, removing_step
from tests.torture.bad_files import run_in_process
from tests.torture.faults import compile_library, why_no_faults

TEN_YEARS = 10 * 365 * 24 * 3600
DIRECTIONS = {"ahead": TEN_YEARS, "back": -TEN_YEARS}
LONGEST_SECONDS = 60.0
CLOCK_SOURCE = Path(__file__).with_name("clock.c")

ALLOWED = {
    "kvmwizard/catalog/cache.py",
    "kvmwizard/catalog/listing.py",
    "kvmwizard/catalog/mark_words.py",
    "kvmwizard/fetch/client.py",
    "kvmwizard/report/archive.py",
    "kvmwizard/run/observe.py",
    "kvmwizard/run/runner.py",
    "kvmwizard/run/store.py",
    "kvmwizard/run/work.py",
    "screens/run.py",
}
"""All that asks for the time of day: to write it down, or to say how long ago something was."""
SINCE = {"kvmwizard/catalog/listing.py", "kvmwizard/run/observe.py"}
"""Where the time of day is reckoned with: how old lists are."""
OF_TIME = {"time", "time_ns", "clock_gettime", "clock_gettime_ns"}
OF_DATETIME = {"now", "utcnow", "today"}


def asks_for_the_time_of_day(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner, name = node.func.value, node.func.attr
    return name in OF_DATETIME or (isinstance(owner, ast.Name) and owner.id == "time" and name in OF_TIME)


def hides_where_it_comes_from(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module in {"time", "datetime"}


def reckons_with_the_time_of_day(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp | ast.Compare) and any(map(asks_for_the_time_of_day, ast.walk(node)))


LOOKED_FOR: dict[Callable[[ast.AST], bool], set[str]] = {
    asks_for_the_time_of_day: ALLOWED,
    reckons_with_the_time_of_day: SINCE,
    hides_where_it_comes_from: set(),
}


def test_nothing_waits_by_the_time_of_day() -> None:
    """Whatever waits or gives up goes by the monotonic clock, which nobody can set (clock_gettime(2))."""
    found: dict[str, set[str]] = {test.__name__: set() for test in LOOKED_FOR}
    for package in (kvmwizard, screens):
        folder = Path(str(package.__file__)).parent
        for file in folder.rglob("*.py"):
            nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
            for test in LOOKED_FOR:
                if any(map(test, nodes)):
                    found[test.__name__].add(str(file.relative_to(folder.parent)))
    for test, allowed in LOOKED_FOR.items():
        assert found[test.__name__] == allowed, test


@dataclass(frozen=True)
class Clock:
    """The clock of the processes that are started with its environment, set by a file whenever it is written.

    libfaketime 0.9.10 does not serve: with the monotonic clock left alone, sleeping fails with EINVAL there.
    """

    setting: Path
    library: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "LD_PRELOAD": str(self.library), "CLOCK_SETTING": str(self.setting)}

    def set(self, direction: str) -> None:
        # In one moment: half of a number is another number.
        unfinished = self.setting.with_suffix(".unfinished")
        unfinished.write_text(str(DIRECTIONS[direction]), encoding="ascii")
        unfinished.replace(self.setting)

    def set_right(self) -> None:
        self.setting.unlink()


@pytest.fixture
def settable(tmp_path: Path) -> Clock:
    why_not = why_no_faults()
    if why_not is not None:
        pytest.skip(why_not)
    return Clock(tmp_path / "setting", compile_library(tmp_path, CLOCK_SOURCE))


NOW = "import datetime, time; print(time.time(), datetime.datetime.now().timestamp(), time.monotonic())"


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_clock_of_these_tests_is_moved_whoever_asks(settable: Clock, direction: str) -> None:
    settable.set(direction)
    argv = [sys.executable, "-c", NOW]
    asked = subprocess.run(argv, env=settable.environment, capture_output=True, text=True, check=True)
    of_time, of_datetime, monotonic = map(float, asked.stdout.split())
    moved = time.time() + DIRECTIONS[direction]
    assert abs(of_time - moved) < LONGEST_SECONDS
    assert abs(of_datetime - moved) < LONGEST_SECONDS
    assert abs(monotonic - time.monotonic()) < LONGEST_SECONDS


def wait_for(condition: Callable[[], bool], what: str) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < LONGEST_SECONDS, what
        time.sleep(0.02)
    return time.monotonic() - started


@dataclass
class SlowRun:
    """A run of two steps, the first of which waits to be let go."""

    runs: RunStore
    run_id: str
    clock: Clock
    go: Path

    @property
    def status(self) -> RunStatus:
        return self.runs.read(self.run_id).status

    @property
    def first(self) -> StepStatus:
        return self.runs.read(self.run_id).steps["first"].status


@pytest.fixture
def slow_run(tmp_path: Path, settable: Clock) -> Iterator[SlowRun]:
    first, second = files(tmp_path, "first", "second")
    go, runs = tmp_path / "go", RunStore(tmp_path / "state")
    waiting = f"while ! test -e {go}; do sleep 0.02; done"
    run_id = runs.create(
        plan_of(removing_step(first, script=waiting), removing_step(second, needs=("first",)))
    )
    run = SlowRun(runs, run_id, settable, go)
    argv = [sys.executable, "-m", "kvmwizard.run.runner_process", str(runs.state_directory), run_id]
    environment = settable.environment
    subprocess.run(argv, check=True, cwd=Path(__file__).parents[2], env=environment, timeout=LONGEST_SECONDS)
    wait_for(lambda: run.first is StepStatus.RUNNING, "the first step begins")
    yield run
    go.touch()
    wait_for(lambda: runs.runner(run_id) is None, "the runner ends")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_clock_is_set_in_the_middle_of_a_step(slow_run: SlowRun, direction: str, counts: Counts) -> None:
    started = time.monotonic()
    slow_run.clock.set(direction)
    # Longer than any look at it takes: nothing gives the step up for the years that seem to have gone by.
    time.sleep(1)
    assert slow_run.first is StepStatus.RUNNING
    slow_run.go.touch()
    wait_for(lambda: slow_run.status is not RunStatus.RUNNING, "the run ends")
    seconds, state = time.monotonic() - started, slow_run.runs.read(slow_run.run_id)
    first, second = state.steps["first"], state.steps["second"]
    amiss = [each for each in (first, second) if each.status is not StepStatus.DONE or each.attempts != 1]
    counts(
        f"clock set ten years {direction} in a step",
        ended_after_seconds=round(seconds, 1),
        steps_given_up_or_done_again=len(amiss),
    )
    assert amiss == []
    assert first.started is not None
    assert first.ended is not None
    assert abs(first.ended - first.started - DIRECTIONS[direction]) < LONGEST_SECONDS, "the clock was moved"
    sight = RunSight(state, {}, None, ())
    assert len(step_entries(sight, UNICODE_SIGNS, time.time())) == len(state.steps)
    ended = run_in_process("status", "--json", "--state-dir", slow_run.runs.state_directory)
    assert ended.code == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_run_is_stopped_in_time_whatever_the_clock_says(slow_run: SlowRun, direction: str) -> None:
    slow_run.clock.set(direction)
    stop_run(slow_run.runs, slow_run.run_id)
    assert wait_for(lambda: slow_run.status is RunStatus.STOPPED, "it stops") < LONGEST_SECONDS / 2
    slow_run.clock.set_right()
    slow_run.go.touch()
    start_runner(slow_run.runs, slow_run.run_id)
    wait_for(lambda: slow_run.status is RunStatus.DONE, "it is gone on with")


ROOTS_COMMAND = """
import os, runpy, sys
helper = runpy.run_path(sys.argv[1], run_name="helper")
log = os.open(os.devnull, os.O_WRONLY)
os.dup2(log, helper["PROGRESS_DESCRIPTOR"])
try:
    helper["Work"]([log, log], "", "").run(["/bin/sh", "-c", sys.argv[2]], float(sys.argv[3]))
except helper["Refused"] as refused:
    print(refused.code)
"""
"""A command as root's hands run it, with so many seconds to end in; says why it was given up."""


def roots_command(settable: Clock, script: str, seconds: float) -> "subprocess.Popen[str]":
    argv = ["/usr/bin/python3", "-I", "-S", "-c", ROOTS_COMMAND, str(HELPER_PROGRAM), script, str(seconds)]
    return subprocess.Popen(argv, env=settable.environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_root_gives_a_command_up_by_no_clock_that_can_be_set(
    settable: Clock, tmp_path: Path, direction: str
) -> None:
    begun = tmp_path / "begun"
    for sleeping, given, said in ((2, LONGEST_SECONDS, ""), (LONGEST_SECONDS / 2, 1, "timed-out\n")):
        script = f"touch {begun}; exec sleep {sleeping}"
        with roots_command(settable, script, given) as process:
            wait_for(begun.exists, "the command begins")
            settable.set(direction)
            assert process.communicate(timeout=LONGEST_SECONDS)[0] == said
        settable.set_right()
        begun.unlink()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_time_left_is_not_reckoned_by_the_clock(
    tmp_path: Path, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "progress"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    progress, now = Progress(descriptor), time.time()
    seconds = iter((10.0, 20.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    progress.tell(say("Half of it"), 50, 100, "steps")
    monkeypatch.setattr(time, "time", lambda: now + DIRECTIONS[direction])
    progress.tell(say("More of it"), 75, 100, "steps")
    monkeypatch.undo()
    os.close(descriptor)
    told = last_told(path)
    assert told is not None
    assert told.seconds_left == pytest.approx(10.0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_list_of_versions_of_another_time_is_no_younger_than_new(tmp_path: Path, direction: str) -> None:
    cache = ListCache(tmp_path / "kvmwizard")
    cache.keep("https://example.org/", None, (Listed("6.12.104", None, None),))
    (path,) = (tmp_path / "kvmwizard" / "catalog").iterdir()
    then = time.time() + DIRECTIONS[direction]
    os.utime(path, (then, then))
    kept = cache.read("https://example.org/")
    assert kept is not None
    assert kept.time <= time.time()


@pytest.mark.parametrize("cause", ["certificate is not yet valid", "certificate has expired"])
def test_a_wrong_clock_is_named_where_a_certificate_is_out_of_its_time(cause: str) -> None:
    said = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {cause} (_ssl.c:1006)"
    error = httpx.ConnectError(said)
    words = trouble_refused("https://example.org/x", error, Patience()).words.english
    assert "example.org" in words
    assert "whether the clock is right" in words


def test_durations_that_the_clock_turned_round_are_shown() -> None:
    assert clock(-TEN_YEARS) == "0:00"
    assert clock(TEN_YEARS) == "87600:00:00"
