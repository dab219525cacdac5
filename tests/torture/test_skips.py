"""kill -9 of the runner while it takes a decision to skip: the decision stands whole or not at all."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from kvmwizard.run.launch import start_runner
from kvmwizard.run.leaving_out import LEAVE_OUT
from kvmwizard.run.liveness import living_runner
from kvmwizard.run.model import RunStatus, StepLeftOut, StepStatus
from kvmwizard.run.store import RunStore, journal_path
from tests.conftest import Counts, Tries
from tests.run.plans import files, plan_of, removing_step, starts
from tests.run.test_runner import wait_for_end

EVENTS = 3
"""That the runner writes: it took the run, what was decided, the end."""
JITTER_SECONDS = 0.004
"""About what one event takes."""


def failed_run(folder: Path) -> tuple[RunStore, str]:
    """A run whose first step failed, with another behind it."""
    first, second = files(folder, "first", "second")
    plan = plan_of(removing_step(first, script="exit 3"), removing_step(second, needs=("first",)))
    store = RunStore(folder / "state")
    run_id = store.create(plan)
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.FAILED
    return store, run_id


def skip_and_kill(store: RunStore, run_id: str, events: int, moment: float) -> bool:
    """Start a runner that is to skip; whether it could be killed after so many events and seconds."""
    journal = journal_path(store.directory(run_id))
    wanted = journal.read_bytes().count(b"\n") + events
    argv = [sys.executable, "-m", "kvmwizard.run.runner_process", str(store.state_directory), run_id]
    with subprocess.Popen([*argv, f"{LEAVE_OUT}first"], stdout=subprocess.DEVNULL) as starter:
        while (runner := living_runner(store.directory(run_id))) is None and starter.poll() is None:
            time.sleep(0.0005)
        if runner is None:
            return False
        while journal.read_bytes().count(b"\n") < wanted and runner.alive:
            time.sleep(0.0005)
        time.sleep(moment)
        try:
            os.kill(runner.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
    return True


def decisions(store: RunStore, run_id: str) -> int:
    return sum(isinstance(event, StepLeftOut) for event in store.events(run_id))


def test_a_decision_to_skip_survives_a_killed_runner(
    tmp_path: Path, tries: Tries, counts: Counts, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  -- moments, not keys
    moments = tries(short=4, full=200)
    hit = taken = lost = 0
    for number in range(moments):
        folder = tmp_path / str(number)
        folder.mkdir()
        store, run_id = failed_run(folder)
        moment = chance.uniform(0, JITTER_SECONDS)
        hit += skip_and_kill(store, run_id, events=number % (EVENTS + 1), moment=moment)
        wait_for_end(store, run_id)
        decided = decisions(store, run_id)
        taken += decided
        state = store.read(run_id)
        if state.status is not RunStatus.DONE:
            wanted = StepStatus.LEFT_OUT if decided else StepStatus.FAILED
            lost += state.steps["first"].status is not wanted
            start_runner(store, run_id, left_out=None if decided else "first")
            state = wait_for_end(store, run_id)
        assert state.status is RunStatus.DONE
        assert [step.status for step in state.steps.values()] == [StepStatus.LEFT_OUT] * 2
        assert decisions(store, run_id) == 1, "nobody decides twice"
        assert (starts(folder / "first"), starts(folder / "second")) == (1, 0)
    counts(
        "kill -9 of a runner that takes a skip", moments=moments, hit=hit, journaled_before=taken, lost=lost
    )
    assert lost == 0
