"""What a journal's events add up to; pure."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from kvmwizard.plan.model import Plan
from kvmwizard.run.model import (
    Event,
    RestartNeeded,
    RootNeeded,
    RunBegan,
    RunEnded,
    RunnerStarted,
    RunState,
    RunStatus,
    RunStopped,
    StepDone,
    StepFailed,
    StepLeftOut,
    StepSkipped,
    StepStarted,
    StepState,
    StepStatus,
    StepStopped,
)
from kvmwizard.run.scheduler import steps_behind
from kvmwizard.words import say


def replay(run_id: str, plan: Plan, events: Sequence[Event], alive: bool, boot_id: str) -> RunState:
    """The state of the run. `events` begins with RunBegan.

    Of the world it takes whether a runner is `alive` now, and which boot this is.
    """
    ended = [event.time for event in events if isinstance(event, RunEnded)]
    status = run_status(events, alive, boot_id)
    return RunState(
        run_id=run_id,
        plan=plan,
        status=status,
        steps=step_states(plan, events),
        began=events[0].time,
        ended=ended[-1] if ended and status in (RunStatus.DONE, RunStatus.FAILED) else None,
        notice=None,
    )


def run_status(events: Sequence[Event], alive: bool, boot_id: str) -> RunStatus:
    """How the run stands: what its last event says, and for a run under way whether anybody runs it."""
    last = events[-1]
    if isinstance(last, RunEnded):
        return RunStatus.DONE if last.good else RunStatus.FAILED
    if isinstance(last, RootNeeded):
        return RunStatus.NEEDS_ROOT
    if isinstance(last, RestartNeeded):
        return RunStatus.NEEDS_RESTART if last.boot_id == boot_id else RunStatus.RESTARTED
    if isinstance(last, RunStopped):
        return RunStatus.STOPPED
    return RunStatus.RUNNING if alive else RunStatus.INTERRUPTED


def step_states(plan: Plan, events: Iterable[Event]) -> dict[str, StepState]:
    """Every step of the plan by its id, in the plan's order."""
    states = {step.id: StepState() for step in plan.steps}
    for event in events:
        # Only a journal that was written to by hand names a step that the plan does not have.
        if getattr(event, "step", None) in {None, *states}:
            _apply(plan, states, event)
        if isinstance(event, RestartNeeded):
            _set_back_restarts(plan, states)
    return states


def interruptions(events: Sequence[Event], step_id: str) -> int:
    """How often in a row a runner began this step and was gone without a word.

    A stop that was asked for, a missing root helper, a retry, and every
    outcome of the step begin the count anew.
    """
    count = 0
    started = False
    for event in events:
        if isinstance(event, RunnerStarted):
            count = 0 if event.retry else count + started
            started = False
        elif isinstance(event, RunStopped | RootNeeded | RestartNeeded):
            count, started = 0, False
        elif isinstance(event, StepStarted) and event.step == step_id:
            started = True
        elif isinstance(event, StepDone | StepFailed | StepSkipped | StepStopped) and event.step == step_id:
            count, started = 0, False
    return count


def restart_asked_in(events: Iterable[Event]) -> str | None:
    """The boot in which the person was last asked to restart; None where that is to be asked (again)."""
    asked = None
    for event in events:
        if isinstance(event, RestartNeeded):
            asked = event.boot_id
        elif isinstance(event, RunnerStarted) and event.retry:
            asked = None
    return asked


def _apply(plan: Plan, states: dict[str, StepState], event: Event) -> None:
    match event:
        case StepStarted():
            states[event.step] = _started(states[event.step], event)
        case StepSkipped():
            states[event.step] = states[event.step].model_copy(
                update={"status": StepStatus.SKIPPED, "words": event.evidence, "ended": event.time}
            )
        case StepDone():
            states[event.step] = states[event.step].model_copy(
                update={
                    "status": StepStatus.DONE,
                    "words": event.evidence,
                    "changes": event.changes,
                    "returncode": None,
                    "ended": event.time,
                }
            )
        case StepFailed():
            states[event.step] = states[event.step].model_copy(
                update={
                    "status": StepStatus.FAILED,
                    "words": event.message,
                    "changes": event.changes,
                    "returncode": event.returncode,
                    "code": event.code,
                    "ended": event.time,
                }
            )
        case StepLeftOut():
            _leave_out(plan, states, event)
        case StepStopped():
            states[event.step] = states[event.step].model_copy(
                update={"status": StepStatus.WAITING, "changes": event.changes}
            )
        case RunStopped() | RootNeeded() | RestartNeeded():
            _set_back(states, StepStatus.RUNNING)
        case RunnerStarted(retry=True):
            _set_back(states, StepStatus.FAILED)
        case RunnerStarted() | RunBegan() | RunEnded():
            pass
        case _:
            assert_never(event)


def _started(state: StepState, event: StepStarted) -> StepState:
    if state.changes is not None:
        # What somebody else changed since the last attempt is not ours to take back.
        state = state.model_copy(update={"before": event.before, "earlier": state.changes, "changes": None})
    return state.model_copy(
        update={
            "status": StepStatus.RUNNING,
            "attempts": event.attempt,
            "started": event.time,
            "ended": None,
            "words": None,
            "returncode": None,
            "code": None,
        }
    )


def _leave_out(plan: Plan, states: dict[str, StepState], event: StepLeftOut) -> None:
    """The step, and all that would have waited for it."""
    common = {"status": StepStatus.LEFT_OUT, "ended": event.time, "left_out_by": event.user}
    failed = states[event.step]
    words = say("{user} skipped it.", user=event.user)
    if failed.words is not None:
        words = say("{user} skipped it after it failed: {failure}", user=event.user, failure=failed.words)
    states[event.step] = failed.model_copy(update={**common, "words": words})
    title = plan.step(event.step).title
    for behind in steps_behind(plan, event.step):
        if states[behind.id].status is StepStatus.WAITING:
            words = say("Not done: it needs “{step}”, which {user} skipped.", step=title, user=event.user)
            states[behind.id] = states[behind.id].model_copy(update={**common, "words": words})


def _set_back(states: dict[str, StepState], status: StepStatus) -> None:
    for step_id, state in states.items():
        if state.status is status:
            states[step_id] = state.model_copy(update={"status": StepStatus.WAITING})


def _set_back_restarts(plan: Plan, states: dict[str, StepState]) -> None:
    """What was restarted into before does not run any more."""
    for step in plan.steps:
        if step.awaits_restart and states[step.id].status is not StepStatus.LEFT_OUT:
            states[step.id] = states[step.id].model_copy(update={"status": StepStatus.WAITING, "words": None})
