"""A run and its steps as JSON, for programs; never translated."""

from typing import Any

from kvmwizard.plan.model import Step, plan_digest
from kvmwizard.run.model import RunState, StepState


def run_report(state: RunState) -> dict[str, Any]:
    """The object that `kvmwizard status --json` gives as `run`."""
    return {
        "id": state.run_id,
        "status": state.status.value,
        "undoes": state.plan.undoes,
        "digest": plan_digest(state.plan),
        "began": state.began,
        "ended": state.ended,
        "notice": state.notice.english if state.notice is not None else None,
        "steps": [step_report(step, state.steps[step.id]) for step in state.plan.steps],
    }


def step_report(step: Step, state: StepState) -> dict[str, Any]:
    """One step: how it stands and what is to be said of it."""
    return {
        "id": step.id,
        "title": step.title.english,
        "status": state.status.value,
        "left_out_by": state.left_out_by,
        "attempts": state.attempts,
        "started": state.started,
        "ended": state.ended,
        "found": state.words.english if state.words is not None else None,
        "returncode": state.returncode,
        "code": state.code,
    }
