"""A run and its steps as plain text, for pipes and terminals without a wizard."""

from collections.abc import Iterator
from dataclasses import replace

from kvmwizard.plan.model import Step
from kvmwizard.run.leaving_out import steps_left_out, why_not_left_out
from kvmwizard.run.model import RunState, RunStatus, StepState, StepStatus
from kvmwizard.words import Words, say, say_many
from kvmwizard.wrapping import printable, wrapped

STEP_SIGNS = {
    StepStatus.WAITING: "○",
    StepStatus.RUNNING: "●",
    StepStatus.SKIPPED: "✔",
    StepStatus.DONE: "✔",
    StepStatus.FAILED: "✖",
    StepStatus.LEFT_OUT: "-",
}

WARNING_SIGN = "!"
"""For a step that failed and that the rest is good without."""

INDENT = "  "


def run_lines(state: RunState, width: int, option: str) -> Iterator[str]:
    """How the run stands, each step, and what to do next; `option` as of `advice`."""
    yield str(standing(state))
    if state.notice is not None:
        yield from wrapped(str(state.notice), width)
    yield ""
    for step in state.plan.steps:
        yield from step_lines(step, state.steps[step.id], width)
    for index, words in enumerate(advice(state, option)):
        if not index:
            yield ""
        yield from wrapped(str(words), width)


def step_lines(step: Step, state: StepState, width: int) -> Iterator[str]:
    """One step with its id, and what is to be said of it."""
    went_on = state.status is StepStatus.FAILED and not step.required
    yield f"{WARNING_SIGN if went_on else STEP_SIGNS[state.status]} {printable(str(step.title))}  [{step.id}]"
    if state.words is not None:
        for line in wrapped(str(state.words), width - len(INDENT)):
            yield INDENT + line


def not_begun(state: RunState) -> bool:
    """Whether the run was agreed to, and no step of it was begun or skipped by anybody yet."""
    untouched = all(step.status is StepStatus.WAITING and not step.attempts for step in state.steps.values())
    return state.status is RunStatus.INTERRUPTED and untouched


def step_that_matters(state: RunState, preferred: str | None = None) -> str | None:
    """The step whose log one wants to read: what runs, and once the run is over what failed.

    Where there is neither, it is the step that was begun last; None where none was. A step that may fail
    stops nobody, and so takes nobody's look off what goes on after it.

    Args:
        state: the run.
        preferred: the one of several that run, or failed, that somebody chose.
    """
    running = [name for name, step in state.steps.items() if step.status is StepStatus.RUNNING]
    failed = [
        step.id
        for step in state.plan.steps
        if step.required and state.steps[step.id].status is StepStatus.FAILED
    ]
    wanted = (running or failed) if state.status is RunStatus.RUNNING else (failed or running)
    if wanted:
        return preferred if preferred in wanted else wanted[0]
    begun = {name: step.started for name, step in state.steps.items() if step.started is not None}
    return max(begun, key=lambda name: begun[name], default=None)


def standing(state: RunState) -> Words:
    """How the run stands, in a sentence."""
    if not_begun(state):
        return say("Run {run} was agreed to, but has not begun.", run=state.run_id)
    left_out = steps_left_out(state)
    if state.status is RunStatus.DONE and state.plan.undoes is not None:
        return say("What could be taken back of run {run} is taken back.", run=state.plan.undoes)
    if state.status is RunStatus.DONE and left_out:
        return say_many(
            "Run {run} is done, without one step that was skipped.",
            "Run {run} is done, without {count} steps that were skipped.",
            left_out,
            run=state.run_id,
        )
    return replace(_STANDING[state.status], places={"run": state.run_id})


_STANDING = {
    RunStatus.RUNNING: say("Run {run} is under way."),
    RunStatus.NEEDS_ROOT: say("Run {run} waits for root's rights."),
    RunStatus.NEEDS_RESTART: say("Run {run} waits for a restart of this machine."),
    RunStatus.RESTARTED: say(
        "This machine was restarted; what run {run} does after that is still to be done."
    ),
    RunStatus.STOPPED: say("Run {run} was stopped."),
    RunStatus.INTERRUPTED: say("Run {run} was interrupted: its process is gone."),
    RunStatus.FAILED: say("Run {run} failed."),
    RunStatus.DONE: say("Run {run} is done."),
}


def advice(state: RunState, option: str = "") -> tuple[Words, ...]:
    """What the person can do about it, a sentence and command each; none where all is done.

    Args:
        state: the run.
        option: what each command needs to mean this run, as ` --state-dir /mnt/kvmwizard`.
    """
    go_on = _go_on(state) + option
    match state.status:
        case RunStatus.RUNNING:
            return (say("Watch it with: {command}", command=f"kvmwizard log --follow{option}"),)
        case RunStatus.NEEDS_ROOT:
            return (say("To give the password again and go on: {command}", command=go_on),)
        case RunStatus.NEEDS_RESTART:
            words = say(
                "Restart the machine when it suits you, then go on: {command}. It looks whether the new "
                "kernel runs, and proves that guests run with it.",
                command=go_on,
            )
            return (words,)
        case RunStatus.RESTARTED:
            return (say("To see what came of it, and to go on: {command}", command=go_on),)
        case RunStatus.STOPPED | RunStatus.INTERRUPTED:
            return (say("To go on: {command}", command=go_on),)
        case RunStatus.FAILED:
            return tuple(_after_failure(state, option))
        case RunStatus.DONE:
            skipped = say("To do what was skipped after all: {command}", command=go_on)
            return (skipped,) if steps_left_out(state) else ()


def _go_on(state: RunState) -> str:
    return "kvmwizard apply" if state.plan.undoes is None else "kvmwizard undo"


def _after_failure(state: RunState, option: str) -> Iterator[Words]:
    failed = [step.id for step in state.plan.steps if state.steps[step.id].status is StepStatus.FAILED]
    step = next((each for each in failed if state.plan.step(each).required), "")
    go_on = _go_on(state)
    if step and state.plan.step(step).awaits_restart:
        yield say("To prepare the restart once more: {command}", command=go_on + option)
    else:
        yield say("All that the failed step printed: {command}", command=f"kvmwizard log {step}{option}")
        yield say("To try it again: {command}", command=go_on + option)
    if why_not_left_out(state.plan, state.steps, step) is None:
        yield say("To go on without it: {command}", command=f"{go_on} --skip {step}{option}")
    if state.plan.undoes is None and any(each.changes != () for each in state.steps.values()):
        undo = f"kvmwizard undo {state.run_id}{option}"
        yield say("To take back what the run has changed: {command}", command=undo)
