"""Starting, stopping and giving root to a run; for the command line and the screens."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Container
from pathlib import Path

from pydantic import TypeAdapter

from kvmwizard.plan.model import plan_digest
from kvmwizard.run.leaving_out import LEAVE_OUT, UNDER_WAY
from kvmwizard.run.liveness import send_signal
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.run.observe import plan_evidence
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.root_client import HelperGone, HelperRefused, RootClient
from kvmwizard.run.root_start import RootHelperRefused, command_by_hand, start_as_root, start_by_sudo
from kvmwizard.run.scheduler import OVER, behind_restart, steps_behind
from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, say

START_SECONDS = 60.0


def start_runner(store: RunStore, run_id: str, retry: bool = False, left_out: str | None = None) -> None:
    """Have a runner carry the run out, detached from this process and its terminal.

    Returns when the journal says that the run is under way; at once where it is already.

    Args:
        store: where the run is kept.
        run_id: the run.
        retry: try the failed steps again.
        left_out: go on without this step, which failed, and without what needs it.

    Raises:
        RunRefused: the run cannot be read, no runner could be started, or the step cannot be left out.
    """
    if store.read(run_id).status is RunStatus.RUNNING:
        if left_out is not None:
            raise RunRefused(UNDER_WAY)
        return
    argv = [
        sys.executable,
        "-m",
        "kvmwizard.run.runner_process",
        str(store.state_directory.absolute()),
        run_id,
    ]
    options = ["--retry"] if retry else []
    if left_out is not None:
        options = [f"{LEAVE_OUT}{left_out}"]
    try:
        process = subprocess.run(
            [*argv, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            # In a checkout the package is found beside the working directory.
            cwd=Path(__file__).resolve().parents[2],
            timeout=START_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunRefused(_no_runner(str(error))) from error
    try:
        answer = json.loads(process.stdout)
    except ValueError:
        said = process.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise RunRefused(_no_runner(said)) from None
    if "refused" in answer:
        raise RunRefused(TypeAdapter(Words).validate_python(answer["refused"]))


def root_helper_needed(store: RunStore, run_id: str, left_out: str | None = None) -> bool:
    """Whether somebody must give a password before the run can go on. Raises RunRefused.

    With `left_out`, without that step and what needs it. After a restart it goes on without root: what
    came of that is seen first, and root asked for only then.
    """
    if os.geteuid() == 0:
        return False
    state = store.read(run_id)
    if state.status is RunStatus.RESTARTED:
        return False
    over = set(plan_evidence(state.plan))
    if left_out is not None:
        over |= {left_out, *(step.id for step in steps_behind(state.plan, left_out))}
    return _root_has_work(state, over) and not _helper_answers(store, run_id)


def _root_has_work(state: RunState, holding: Container[str]) -> bool:
    """Whether root has something to do before the next restart."""
    restarts = [step.id for step in state.plan.steps if step.awaits_restart and step.id not in holding]
    behind = behind_restart(state.plan, state.steps) if restarts else frozenset()
    for step in state.plan.steps:
        done = state.steps[step.id].status in OVER and not (step.arms_restart and restarts)
        if step.root and step.id not in behind and not done and step.id not in holding:
            return True
    return False


def open_root_helper(store: RunStore, run_id: str, ask: bool = True) -> RootHelperRefused | None:
    """Start the root helper, with sudo asking on the current terminal; None when it listens.

    Args:
        store: where the run is kept.
        run_id: the run, whose plan is all that the helper will do.
        ask: False to refuse rather than ask (`sudo -n`), for unattended use.

    Raises:
        RunRefused: the run cannot be read.
    """
    plan = store.plan(run_id)
    if _helper_answers(store, run_id):
        return None
    by_hand = command_by_hand(store.state_directory)
    if os.geteuid() == 0:
        return start_as_root(plan, run_id, by_hand)
    return start_by_sudo(plan, run_id, ask, by_hand)


def stop_run(store: RunStore, run_id: str) -> None:
    """Ask the run's runner to stop; `RunStore.read` says when it has.

    Where none is alive, its root helper is asked, which may outlive it. Running steps are ended,
    except that a package manager that has begun to install or remove is let finish: a package half
    unpacked is worse than a minute's wait. Raises RunRefused.
    """
    runner = store.runner(run_id)
    if runner is None:
        _stop_helper(store, run_id)
        return
    try:
        send_signal(runner, signal.SIGTERM)
    except OSError as error:
        raise RunRefused(
            say(
                "The runner, process {process}, cannot be told to stop: {error}. "
                "Stop it as the user who started it.",
                process=runner.pid,
                error=error.strerror or str(error),
            )
        ) from error


def _helper_answers(store: RunStore, run_id: str) -> bool:
    try:
        RootClient.connect(run_id, plan_digest(store.plan(run_id))).close()
    except HelperGone:
        return False
    return True


def _stop_helper(store: RunStore, run_id: str) -> None:
    """Where the runner was killed, the helper may still be at a step."""
    try:
        with RootClient.connect(run_id, plan_digest(store.plan(run_id))) as client:
            client.stop()
            client.end()
    except (HelperGone, HelperRefused):
        return


def _no_runner(reason: str) -> Words:
    return say(
        "The runner could not be started: {reason}. Nothing was changed; try again.", reason=reason or "-"
    )
