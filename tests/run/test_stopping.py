"""A stop at a bad moment: before the root helper is told, while a step is only looked at, at the start."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.paths import directory_option
from kvmwizard.plan.model import Condition, FileAbsent, RunCommand, Step
from kvmwizard.run import runner as runner_module
from kvmwizard.run.commands import CommandFiles
from kvmwizard.run.launch import start_runner
from kvmwizard.run.liveness import RunLock
from kvmwizard.run.model import RunStatus, StepStatus
from kvmwizard.run.observe import observe
from kvmwizard.run.root_client import RootClient
from kvmwizard.run.runner import Runner
from kvmwizard.run.store import RunStore
from kvmwizard.run.work import Attempt, StepWork
from kvmwizard.words import say
from tests.cli.command import kvmwizard
from tests.run.plans import files, plan_of, removing_step, starts
from tests.run.test_runner import kill, wait

WAIT_SECONDS = 20.0
SLOW_SECONDS = 8.0
SLEEP = ("/bin/sleep", f"{SLOW_SECONDS:.0f}")

HELPER = """
import os, socket, sys
from kvmwizard.run import root_helper
while os.open("/dev/null", os.O_RDWR) < root_helper.PROGRESS_DESCRIPTOR:
    pass
root_helper.outlive_session = lambda *_: None
listener = socket.socket(*root_helper.SEQUENCED)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
steps = {"a.step": [{"kind": "run-command", "argv": sys.argv[2:], "environment": {}, "locks": []}]}
root_helper.Helper(steps, "", "", os.geteuid()).serve(listener)
"""
"""The helper's own code without root, with a step that no plan has."""


class HastyClient(RootClient):
    """Does something just before the helper is asked for what has the verb."""

    def __init__(self, connection: socket.socket, verb: str, haste: Callable[[], None]) -> None:
        super().__init__(connection)
        self._verb, self._haste = verb, haste

    def ask(self, request: dict[str, Any], descriptors: Any = ()) -> dict[str, Any]:
        if request["verb"] == self._verb:
            self._haste()
        return super().ask(request, descriptors)


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Path]:
    """The socket of a helper whose only step sleeps."""
    path = tmp_path / "helper.socket"
    argv = [sys.executable, "-c", HELPER, str(path), *SLEEP]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield path
        with connected(path) as connection:
            RootClient(connection).end()


def connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(WAIT_SECONDS)
    connection.connect(str(path))
    return connection


def sleeping_work(folder: Path, connect: Callable[[], RootClient]) -> StepWork:
    step = Step(
        id="a.step",
        title=say("a step"),
        root=True,
        seconds=1,
        conditions=(FileAbsent(path="/nowhere"),),
        actions=(RunCommand(argv=SLEEP),),
    )
    return StepWork(
        Attempt(step, 1), CommandFiles(folder / "log", folder / "lock"), folder / "progress", connect
    )


@pytest.mark.parametrize("verb", ["do", "hello"])
def test_a_stop_reaches_a_root_step_at_whatever_moment_of_its_beginning(
    helper: Path, tmp_path: Path, verb: str
) -> None:
    """Before the helper is asked, it forgets the stop with the step before."""

    def stop() -> None:
        work.stop()

    stops = iter([stop])
    work = sleeping_work(tmp_path, lambda: HastyClient(connected(helper), verb, next(stops, lambda: None)))
    begun = time.monotonic()
    outcome = work.do()
    assert outcome is not None
    assert outcome.code == "stopped"
    assert time.monotonic() - begun < SLOW_SECONDS / 2


def test_a_root_step_that_is_stopped_before_it_begins_is_not_begun(helper: Path, tmp_path: Path) -> None:
    work = sleeping_work(tmp_path, lambda: RootClient(connected(helper)))
    work.stop()
    outcome = work.do()
    assert outcome is not None
    assert outcome.code == "stopped"
    with connected(helper) as connection:
        assert RootClient(connection).steps() == {}


def test_a_stop_while_a_step_is_only_looked_at_keeps_it_from_being_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = files(tmp_path, "first")
    store = RunStore(tmp_path / "state")
    run_id = store.create(plan_of(removing_step(first)))
    lock = RunLock(store.directory(run_id))
    assert lock.take()
    runner = Runner(store, run_id, lock)

    def slowly(condition: Condition) -> str:
        runner.ask_to_stop()
        return observe(condition)

    monkeypatch.setattr(runner_module, "observe", slowly)
    runner.begin(retry=False)
    runner.work()
    state = store.read(run_id)
    assert state.status is RunStatus.STOPPED
    assert state.steps["first"].status is StepStatus.WAITING
    assert state.steps["first"].attempts == starts(first) == 0


@pytest.mark.parametrize(
    ("left", "required", "status"),
    [((), True, RunStatus.DONE), (("left",), True, RunStatus.STOPPED), (("left",), False, RunStatus.STOPPED)],
)
def test_a_stop_that_comes_when_all_is_done_has_stopped_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: tuple[str, ...],
    required: bool,
    status: RunStatus,
) -> None:
    (first,) = files(tmp_path, "first")
    behind = (removing_step(path, needs=("first",), required=required) for path in files(tmp_path, *left))
    store = RunStore(tmp_path / "state")
    run_id = store.create(plan_of(removing_step(first), *behind))
    lock = RunLock(store.directory(run_id))
    assert lock.take()
    runner = Runner(store, run_id, lock)

    def late(condition: Condition) -> str:
        if not first.exists():
            runner.ask_to_stop()
        return observe(condition)

    monkeypatch.setattr(runner_module, "observe", late)
    runner.begin(retry=False)
    runner.work()
    state = store.read(run_id)
    assert state.status is status
    assert state.steps["first"].status is StepStatus.DONE


def test_a_command_that_nobody_watches_over_is_named_with_what_to_do(tmp_path: Path) -> None:
    begun, let_go = tmp_path / "begun", tmp_path / "let-go"
    (first,) = files(tmp_path, "first")
    script = f"touch {begun}; timeout 30 sh -c 'until [ -e {let_go} ]; do sleep 0.02; done'"
    store = RunStore(tmp_path / "state")
    run_id = store.create(plan_of(removing_step(first, script=script)))
    start_runner(store, run_id)
    wait(store, run_id, lambda _: begun.exists())
    kill(store, run_id)
    stop = ("apply", "--stop", "--state-dir", store.state_directory)
    said = kvmwizard(tmp_path, *stop)
    words = " ".join(said.stderr.split())
    assert (said.returncode, said.stdout) == (ExitCode.NOT_GOOD, "")
    assert f"The step first of the run {run_id} is still at work" in words
    assert words.endswith(f"be stopped: kvmwizard apply{directory_option(store.state_directory)}")
    let_go.touch()
    wait(store, run_id, lambda _: store.step_at_work(run_id) is None)
    said = kvmwizard(tmp_path, *stop)
    assert (said.returncode, said.stdout) == (ExitCode.GOOD, "No run is under way.\n")


def test_ctrl_c_leaves_a_stop_at_once_as_it_says(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (first,) = files(tmp_path, "first")
    store = RunStore(tmp_path / "state")
    stubborn = f"trap '' TERM; touch {begun}; timeout {SLOW_SECONDS:.0f} sleep 60"
    run_id = store.create(plan_of(removing_step(first, script=stubborn)))
    start_runner(store, run_id)
    wait(store, run_id, lambda _: begun.exists())
    argv = [sys.executable, "-m", "kvmwizard", "apply", "--stop", "--state-dir", str(store.state_directory)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as stop:
        assert stop.stdout is not None
        assert stop.stdout.readline().startswith("Stopping: ")
        time.sleep(0.5)
        stop.send_signal(signal.SIGINT)
        assert stop.wait(SLOW_SECONDS / 2) == ExitCode.RESUMABLE
        assert "Stopping" not in stop.stdout.read()
    assert (
        wait(store, run_id, lambda state: state.status is not RunStatus.RUNNING).status is RunStatus.STOPPED
    )


STOPPED_EARLY = """
import os, signal, sys
from kvmwizard.run import runner_process
owner, name = {
    "take": (runner_process.RunLock, "take"),
    "begin": (runner_process.Runner, "begin"),
}[sys.argv.pop(1)]
original = getattr(owner, name)
def stopped(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    return original(*arguments, **options)
setattr(owner, name, stopped)
raise SystemExit(runner_process.main())
"""


@pytest.mark.parametrize("moment", ["take", "begin"])
def test_a_stop_before_the_first_step_does_not_pass_for_an_interruption(tmp_path: Path, moment: str) -> None:
    (first,) = files(tmp_path, "first")
    store = RunStore(tmp_path / "state")
    run_id = store.create(plan_of(removing_step(first)))
    argv = [sys.executable, "-c", STOPPED_EARLY, moment, str(store.state_directory), run_id]
    said = subprocess.run(argv, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert json.loads(said.stdout or "{}") == {"running": True}
    deadline = time.monotonic() + WAIT_SECONDS
    while store.read(run_id).status is RunStatus.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert store.read(run_id).status is RunStatus.STOPPED
    assert starts(first) == 0
