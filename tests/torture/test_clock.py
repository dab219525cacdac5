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
from kvmwizard.run.store import RunStore
from kvmwizard.run.workers import last_told
from kvmwizard.words import say
from screens.run_watch import RunSight, clock, step_entries
from screens.terminal import UNICODE_SIGNS
from tests.conftest import Counts
from tests.run.plans import files, plan_of, removing_step
from tests.torture.bad_files import run_in_process

TEN_YEARS = 10 * 365 * 24 * 3600
DIRECTIONS = {"ahead": TEN_YEARS, "back": -TEN_YEARS}
LONGEST_SECONDS = 60.0

ALLOWED = {
    "kvmwizard/catalog/cache.py",
    "kvmwizard/catalog/listing.py",
    "kvmwizard/commands/fault.py",
    "kvmwizard/job.py",
    "kvmwizard/report/archive.py",
    "kvmwizard/run/observe.py",
    "kvmwizard/run/runner.py",
    "kvmwizard/run/store.py",
    "kvmwizard/session.py",
    "screens/run.py",
}
"""What asks for the time of day: to write it down, or to say how long ago something was."""


def asks_for_the_time_of_day(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = node.func.value
    return isinstance(owner, ast.Name) and owner.id == "time" and node.func.attr in {"time", "time_ns"}


def test_nothing_waits_by_the_time_of_day() -> None:
    """Whatever waits or gives up goes by the monotonic clock, which nobody can set (clock_gettime(2))."""
    found = set()
    for package in (kvmwizard, screens):
        folder = Path(str(package.__file__)).parent
        for file in folder.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if "time.time" not in text:
                continue
            tree = ast.parse(text)
            if any(map(asks_for_the_time_of_day, ast.walk(tree))):
                found.add(str(file.relative_to(folder.parent)))
            for node in ast.walk(tree):
                if isinstance(node, ast.BinOp | ast.Compare):
                    times = [each for each in ast.walk(node) if asks_for_the_time_of_day(each)]
                    assert not times or str(file.relative_to(folder.parent)) in SINCE, file
    assert found <= ALLOWED, found - ALLOWED


SINCE = {"kvmwizard/catalog/listing.py", "kvmwizard/run/observe.py"}
"""Where the time of day is reckoned with: how old lists are."""


RUNNER = """
import os, sys, time
from pathlib import Path
real, setting = time.time, Path(sys.argv[3])
time.time = lambda: real() + (float(setting.read_text()) if setting.exists() else 0.0)
from kvmwizard.run.runner_process import main
sys.argv[1:] = sys.argv[1:3]
sys.exit(main())
"""
"""A runner whose clock is set by a file, in the middle of whatever it does.

libfaketime 0.9.10 does not serve: with the monotonic clock left alone, sleeping fails with EINVAL there.
"""


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
    setting: Path
    go: Path

    @property
    def status(self) -> RunStatus:
        return self.runs.read(self.run_id).status

    @property
    def first(self) -> StepStatus:
        return self.runs.read(self.run_id).steps["first"].status


@pytest.fixture
def slow_run(tmp_path: Path) -> Iterator[SlowRun]:
    first, second = files(tmp_path, "first", "second")
    go, runs = tmp_path / "go", RunStore(tmp_path / "state")
    waiting = f"while ! test -e {go}; do sleep 0.02; done"
    run_id = runs.create(
        plan_of(removing_step(first, script=waiting), removing_step(second, needs=("first",)))
    )
    run = SlowRun(runs, run_id, tmp_path / "setting", go)
    argv = [sys.executable, "-c", RUNNER, str(runs.state_directory), run_id, str(run.setting)]
    subprocess.run(argv, check=True, cwd=Path(__file__).parents[2], timeout=LONGEST_SECONDS)
    wait_for(lambda: run.first is StepStatus.RUNNING, "the first step begins")
    yield run
    go.touch()
    wait_for(lambda: runs.runner(run_id) is None, "the runner ends")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_clock_is_set_in_the_middle_of_a_step(slow_run: SlowRun, direction: str, counts: Counts) -> None:
    slow_run.setting.write_text(str(DIRECTIONS[direction]), encoding="ascii")
    # Longer than any look at it takes: nothing gives the step up for the years that seem to have gone by.
    time.sleep(1)
    assert slow_run.first is StepStatus.RUNNING
    slow_run.go.touch()
    seconds = wait_for(lambda: slow_run.status is RunStatus.DONE, "the run ends well")
    state = slow_run.runs.read(slow_run.run_id)
    first, second = state.steps["first"], state.steps["second"]
    assert first.attempts == second.attempts == 1
    assert first.started is not None
    assert first.ended is not None
    assert abs(first.ended - first.started - DIRECTIONS[direction]) < LONGEST_SECONDS, "the clock was moved"
    sight = RunSight(state, {}, None, ())
    assert len(step_entries(sight, UNICODE_SIGNS, time.time())) == len(state.steps)
    ended = run_in_process("status", "--json", "--state-dir", slow_run.runs.state_directory)
    assert ended.code == 0
    counts(
        f"clock set ten years {direction} in a step", ended_after_seconds=round(seconds, 1), wrong_timeouts=0
    )


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_run_is_stopped_in_time_whatever_the_clock_says(slow_run: SlowRun, direction: str) -> None:
    slow_run.setting.write_text(str(DIRECTIONS[direction]), encoding="ascii")
    stop_run(slow_run.runs, slow_run.run_id)
    assert wait_for(lambda: slow_run.status is RunStatus.STOPPED, "it stops") < LONGEST_SECONDS / 2
    slow_run.setting.unlink()
    slow_run.go.touch()
    start_runner(slow_run.runs, slow_run.run_id)
    wait_for(lambda: slow_run.status is RunStatus.DONE, "it is gone on with")


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
