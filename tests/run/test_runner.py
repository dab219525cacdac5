"""Real runners: killed, stopped, retried, watched."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from kvmwizard.fetch.refused import UNPROVEN
from kvmwizard.plan.build_model import DownloadSource, ProductMade
from kvmwizard.plan.model import Plan
from kvmwizard.run.launch import root_helper_needed, start_runner, stop_run
from kvmwizard.run.liveness import living_runner
from kvmwizard.run.model import RunnerStarted, RunState, RunStatus, StepStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import COMMAND_LOCK_SUFFIX, RunStore
from kvmwizard.words import say
from tests.run.plans import files, plan_of, removing_step, starts, step

WAIT_SECONDS = 30.0
IDENTITY = "1" * 64
CUT_OFF = """
import os, signal
from kvmwizard.run import runner_process
runner_process.Runner._employ = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
raise SystemExit(runner_process.main())
"""
"""A runner that is killed as soon as it has journaled that a step begins."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = RunStore(tmp_path / "state")
    yield made
    for run_id in made.runs():
        runner = living_runner(made.directory(run_id))
        if runner is not None:
            os.kill(runner.pid, signal.SIGKILL)


def wait(store: RunStore, run_id: str, wanted: Callable[[RunState], bool]) -> RunState:
    deadline = time.monotonic() + WAIT_SECONDS
    while not wanted(state := store.read(run_id)):
        assert time.monotonic() < deadline, state
        time.sleep(0.02)
    return state


def wait_for_end(store: RunStore, run_id: str) -> RunState:
    state = wait(store, run_id, lambda state: state.status is not RunStatus.RUNNING)
    wait(store, run_id, lambda _: living_runner(store.directory(run_id)) is None)
    return state


def carry_out(store: RunStore, plan: Plan) -> tuple[str, RunState]:
    run_id = store.create(plan)
    start_runner(store, run_id)
    return run_id, wait_for_end(store, run_id)


def kill(store: RunStore, run_id: str) -> None:
    runner = living_runner(store.directory(run_id))
    assert runner is not None
    os.kill(runner.pid, signal.SIGKILL)
    wait(store, run_id, lambda _: living_runner(store.directory(run_id)) is None)


def is_running(step_id: str) -> Callable[[RunState], bool]:
    return lambda state: state.steps[step_id].status is StepStatus.RUNNING


def test_runs_of_the_same_second_keep_their_order(store: RunStore, tmp_path: Path) -> None:
    plan = plan_of(removing_step(tmp_path / "gone"))
    made = tuple(store.create(plan) for _ in range(8))
    assert store.runs() == made


def test_who_started_a_run_finds_that_in_the_journal(store: RunStore, tmp_path: Path) -> None:
    run_id = store.create(plan_of(removing_step(tmp_path / "gone")))
    start_runner(store, run_id)
    assert any(isinstance(event, RunnerStarted) for event in store.events(run_id))


def test_a_run_does_its_steps_in_order_and_skips_what_is_done(store: RunStore, tmp_path: Path) -> None:
    first, second = files(tmp_path, "first", "second")
    gone = tmp_path / "gone"
    plan = plan_of(removing_step(first), removing_step(second, needs=("first",)), removing_step(gone))
    run_id, state = carry_out(store, plan)
    assert state.status is RunStatus.DONE
    assert [step.status for step in state.steps.values()] == [
        StepStatus.DONE,
        StepStatus.DONE,
        StepStatus.SKIPPED,
    ]
    assert state.steps["second"].started is not None
    assert state.steps["first"].ended is not None
    assert state.steps["second"].started >= state.steps["first"].ended
    assert not root_helper_needed(store, run_id)


def test_why_a_worker_refused_can_be_told_by_programs_too(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "linux-6.1.9.tar"
    file.write_bytes(b"not proven by anything")
    stamp = str(tmp_path / "stamp")
    action = DownloadSource(
        identity=IDENTITY,
        stamp=stamp,
        project="linux",
        version="6.1.9",
        urls=(file.as_uri(),),
        path=str(tmp_path / "taken"),
        proofs=(),
    )
    condition = ProductMade(path=stamp, identity=IDENTITY)
    _, state = carry_out(
        store,
        plan_of(
            step("kernel.download").model_copy(update={"actions": (action,), "conditions": (condition,)})
        ),
    )
    assert state.status is RunStatus.FAILED
    assert state.steps["kernel.download"].code == UNPROVEN


def test_everything_of_a_run_is_for_its_user_alone(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    carry_out(store, plan_of(removing_step(first)))
    paths = list((tmp_path / "state").rglob("*"))
    assert {path.name for path in paths} >= {"plan.json", "journal.jsonl", "lock"}
    for path in paths:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_failure_says_what_the_command_said_and_stops_what_needs_it(
    store: RunStore, tmp_path: Path
) -> None:
    first, second, third = files(tmp_path, "first", "second", "third")
    plan = plan_of(
        removing_step(first, script="echo out of luck; exit 3"),
        removing_step(second, needs=("first",)),
        removing_step(third),
    )
    run_id, state = carry_out(store, plan)
    assert state.status is RunStatus.FAILED
    words = state.steps["first"].words
    assert words is not None
    assert "code 3" in words.english
    assert "out of luck" in words.english
    assert state.steps["first"].returncode == 3
    assert state.steps["second"].status is StepStatus.WAITING
    assert state.steps["third"].status is StepStatus.DONE
    assert "out of luck" in store.log_path(run_id, "first").read_text(encoding="utf-8")


def test_a_command_that_succeeds_without_its_effect_is_no_success(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    _, state = carry_out(store, plan_of(removing_step(first, script="exit 0")))
    assert state.steps["first"].status is StepStatus.FAILED
    assert "still there" in str(state.steps["first"].words)


def test_retry_does_the_failed_steps_again(store: RunStore, tmp_path: Path) -> None:
    first, second = files(tmp_path, "first", "second")
    switch = tmp_path / "switch"
    plan = plan_of(removing_step(first, script=f"test -e {switch}"), removing_step(second, needs=("first",)))
    run_id, state = carry_out(store, plan)
    assert state.status is RunStatus.FAILED
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.FAILED
    assert starts(first) == 1
    switch.touch()
    start_runner(store, run_id, retry=True)
    state = wait_for_end(store, run_id)
    assert state.status is RunStatus.DONE
    assert state.steps["first"].attempts == 2


@pytest.mark.parametrize("killed_in", ["first", "second", "third"])
def test_a_killed_runner_is_taken_over_from_and_nothing_runs_twice(
    store: RunStore, tmp_path: Path, killed_in: str
) -> None:
    first, second, third = files(tmp_path, "first", "second", "third")
    plan = plan_of(
        removing_step(first, script="sleep 0.7"),
        removing_step(second, script="sleep 0.7", needs=("first",)),
        removing_step(third, script="sleep 0.7", needs=("second",)),
    )
    run_id = store.create(plan)
    start_runner(store, run_id)
    wait(store, run_id, is_running(killed_in))
    wait(store, run_id, lambda _: starts(tmp_path / killed_in) == 1)
    kill(store, run_id)
    assert store.read(run_id).status is RunStatus.INTERRUPTED
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.DONE
    assert [starts(path) for path in (first, second, third)] == [1, 1, 1]


def test_what_ended_while_nobody_looked_counts_as_done(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    run_id = store.create(plan_of(removing_step(first, script="sleep 2")))
    start_runner(store, run_id)
    wait(store, run_id, lambda _: starts(first) == 1)
    kill(store, run_id)
    deadline = time.monotonic() + WAIT_SECONDS
    while first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    start_runner(store, run_id)
    state = wait_for_end(store, run_id)
    assert state.steps["first"].status is StepStatus.DONE
    assert state.steps["first"].attempts == 1
    assert starts(first) == 1


def test_what_refused_while_nobody_looked_is_not_tried_again_by_itself(
    store: RunStore, tmp_path: Path
) -> None:
    (first,) = files(tmp_path, "first")
    told = json.dumps({"time": 0, "refused": asdict(say("No compiler is here. Install one, then retry."))})
    progress = f"{store.state_directory}/runs/*/progress"
    step = removing_step(first, script=f"sleep 1; cd {progress}; echo '{told}' >first; exit 1")
    run_id = store.create(plan_of(step))
    start_runner(store, run_id)
    wait(store, run_id, lambda _: starts(first) == 1)
    kill(store, run_id)
    start_runner(store, run_id)
    state = wait_for_end(store, run_id)
    assert state.status is RunStatus.FAILED
    assert str(state.steps["first"].words) == "No compiler is here. Install one, then retry."
    assert starts(first) == 1


def test_what_an_earlier_attempt_refused_is_not_said_of_one_that_was_cut_off(
    store: RunStore, tmp_path: Path
) -> None:
    """A retry whose runner is killed before its command begins."""
    (first,) = files(tmp_path, "first")
    mended = tmp_path / "mended"
    told = json.dumps({"time": 0, "refused": asdict(say("No compiler is here. Install one, then retry."))})
    progress = f"{store.state_directory}/runs/*/progress"
    script = f"test -e {mended} || {{ cd {progress}; echo '{told}' >first; exit 1; }}"
    run_id, state = carry_out(store, plan_of(removing_step(first, script=script)))
    assert str(state.steps["first"].words) == "No compiler is here. Install one, then retry."
    mended.touch()
    argv = [sys.executable, "-c", CUT_OFF, str(store.state_directory), run_id, "--retry"]
    subprocess.run(argv, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert wait_for_end(store, run_id).status is RunStatus.INTERRUPTED
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.DONE


def test_a_step_that_kills_its_runner_every_time_is_given_up(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    # The shell's parent is the runner: the command kills it, and then ends itself.
    run_id = store.create(plan_of(removing_step(first, script="kill -9 $PPID; exit 1")))
    for _ in range(5):
        start_runner(store, run_id)
        wait_for_end(store, run_id)
        assert store.read(run_id).status is RunStatus.INTERRUPTED
    start_runner(store, run_id)
    state = wait_for_end(store, run_id)
    assert state.status is RunStatus.FAILED
    assert starts(first) == 5
    assert "killed 5 times" in str(state.steps["first"].words)


def test_a_stop_ends_the_command_and_the_run_goes_on_later(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    switch = tmp_path / "switch"
    run_id = store.create(plan_of(removing_step(first, script=f"test -e {switch} || sleep 60")))
    start_runner(store, run_id)
    wait(store, run_id, lambda _: starts(first) == 1)
    begun = time.monotonic()
    stop_run(store, run_id)
    state = wait_for_end(store, run_id)
    assert time.monotonic() - begun < 5
    assert state.status is RunStatus.STOPPED
    assert state.steps["first"].status is StepStatus.WAITING
    switch.touch()
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.DONE


def test_a_stop_reaches_what_a_killed_runner_left(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    run_id = store.create(plan_of(removing_step(first, script="sleep 60")))
    start_runner(store, run_id)
    wait(store, run_id, lambda _: starts(first) == 1)
    time.sleep(0.1)
    kill(store, run_id)
    start_runner(store, run_id)
    time.sleep(0.3)
    stop_run(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.STOPPED
    found = subprocess.run(["/usr/bin/pgrep", "-f", str(first)], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_many_may_start_and_watch_one_run_and_one_runner_does_it(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    run_id = store.create(plan_of(removing_step(first, script="sleep 1")))
    watcher = "import sys; from pathlib import Path; from kvmwizard.run.launch import start_runner;"
    watcher += "from kvmwizard.run.store import RunStore;"
    watcher += "start_runner(RunStore(Path(sys.argv[1])), sys.argv[2])"
    argv = [sys.executable, "-c", watcher, str(store.state_directory), run_id]
    started = [subprocess.Popen(argv, cwd=Path(__file__).parents[2]) for _ in range(4)]
    assert [process.wait(WAIT_SECONDS) for process in started] == [0, 0, 0, 0]
    assert wait_for_end(store, run_id).status is RunStatus.DONE
    assert starts(first) == 1


def test_no_second_run_begins_beside_one_that_is_under_way(store: RunStore, tmp_path: Path) -> None:
    first, second = files(tmp_path, "first", "second")
    run_id = store.create(plan_of(removing_step(first, script="sleep 2")))
    start_runner(store, run_id)
    with pytest.raises(RunRefused, match=run_id):
        store.create(plan_of(removing_step(second)))
    assert wait_for_end(store, run_id).status is RunStatus.DONE
    assert carry_out(store, plan_of(removing_step(second)))[1].status is RunStatus.DONE


def test_no_second_run_begins_beside_a_command_whose_runner_was_killed(
    store: RunStore, tmp_path: Path
) -> None:
    first, second = files(tmp_path, "first", "second")
    run_id = store.create(plan_of(removing_step(first, script="sleep 60")))
    start_runner(store, run_id)
    wait(store, run_id, lambda _: starts(first) == 1)
    lock = store.log_path(run_id, "first").with_suffix(COMMAND_LOCK_SUFFIX)
    wait(store, run_id, lambda _: lock.read_bytes() != b"")
    kill(store, run_id)
    other = plan_of(removing_step(second))
    with pytest.raises(RunRefused, match=f"A command of the run {run_id}, of its step first, is still at"):
        store.create(other)
    start_runner(store, run_id)
    stop_run(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.STOPPED
    assert carry_out(store, other)[1].status is RunStatus.DONE


def test_a_torn_journal_is_told_of_and_gone_on_from(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    run_id = store.create(plan_of(removing_step(first)))
    with (store.directory(run_id) / "journal.jsonl").open("ab") as file:
        file.write(b'{"time": 1, "event": "step-')
    assert "26 bytes" in str(store.read(run_id).notice) or "27 bytes" in str(store.read(run_id).notice)
    start_runner(store, run_id)
    state = wait_for_end(store, run_id)
    assert state.status is RunStatus.DONE
    assert state.notice is not None


@pytest.mark.parametrize(
    ("name", "content"),
    [("plan.json", b"{}"), ("plan.json", b""), ("journal.jsonl", b""), ("journal.jsonl", b"nonsense\n")],
)
def test_a_run_that_cannot_be_read_is_refused_in_words(
    store: RunStore, tmp_path: Path, name: str, content: bytes
) -> None:
    (first,) = files(tmp_path, "first")
    run_id = store.create(plan_of(removing_step(first)))
    (store.directory(run_id) / name).write_bytes(content)
    with pytest.raises(RunRefused) as refused:
        start_runner(RunStore(store.state_directory), run_id)
    assert "Begin a new run" in refused.value.words.english


def test_a_plan_that_was_changed_after_it_was_agreed_to_is_refused(store: RunStore, tmp_path: Path) -> None:
    first, other = files(tmp_path, "first", "other")
    run_id = store.create(plan_of(removing_step(first)))
    path = store.directory(run_id) / "plan.json"
    path.write_bytes(path.read_bytes().replace(bytes(first), bytes(other)))
    with pytest.raises(RunRefused, match="not the one that was agreed to"):
        RunStore(store.state_directory).read(run_id)


def test_a_plan_and_its_journal_changed_between_review_and_root_are_not_what_root_is_asked_for(
    store: RunStore, tmp_path: Path
) -> None:
    reviewed, evil = (plan_of(removing_step(file)) for file in files(tmp_path, "first", "other"))
    run_id = store.create(reviewed)
    forged = RunStore(tmp_path / "forged")
    forged_id = forged.create(evil)
    for name in ("plan.json", "journal.jsonl"):
        (store.directory(run_id) / name).write_bytes((forged.directory(forged_id) / name).read_bytes())
    assert store.plan(run_id) == reviewed
    with pytest.raises(RunRefused, match="not the one that was agreed to"):
        store.read(run_id)


def test_an_unknown_run_is_refused_in_words(store: RunStore) -> None:
    for run_id in ("20260101-000000-00000000", "../../etc"):
        with pytest.raises(RunRefused, match="There is no run"):
            store.read(run_id)


def test_a_runner_leaves_its_terminal_and_lives_on_when_that_closes(store: RunStore, tmp_path: Path) -> None:
    (first,) = files(tmp_path, "first")
    run_id = store.create(plan_of(removing_step(first, script="sleep 1")))
    process, terminal = os.forkpty()
    if process == 0:
        with contextlib.suppress(BaseException):
            # Where the tests themselves were started with nohup(1).
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            start_runner(store, run_id)
            time.sleep(60)
        os._exit(0)
    wait(store, run_id, lambda _: starts(first) == 1)
    os.close(terminal)  # the kernel hangs up: SIGHUP to the terminal's session
    os.waitpid(process, 0)
    assert wait_for_end(store, run_id).status is RunStatus.DONE


FULL_DISK = """
import resource, signal, sys
from dataclasses import asdict
from pathlib import Path
from kvmwizard.run import runner_process
from kvmwizard.run.store import RunStore, journal_path
store = RunStore(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = journal_path(store.directory(sys.argv[2])).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (max(size + 350, 4096), max(size + 350, 4096)))
sys.argv = ["runner", sys.argv[1], sys.argv[2]]
raise SystemExit(runner_process.main())
"""


def test_a_journal_that_cannot_grow_stops_the_run_before_the_next_step(
    store: RunStore, tmp_path: Path
) -> None:
    paths = files(tmp_path, *(f"file{number}" for number in range(12)))
    steps = [removing_step(paths[0])]
    steps += [removing_step(path, needs=(before.name,)) for before, path in itertools.pairwise(paths)]
    run_id = store.create(plan_of(*steps))
    argv = [sys.executable, "-c", FULL_DISK, str(store.state_directory), run_id]
    said = subprocess.run(argv, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert json.loads(said.stdout) == {"running": True}
    state = wait_for_end(store, run_id)
    assert state.status is RunStatus.INTERRUPTED
    assert "The disk is full" in str(state.notice)
    begun = sum(starts(path) for path in paths)
    assert 0 < begun < len(paths)
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.DONE
    assert sum(starts(path) for path in paths) == len(paths)
