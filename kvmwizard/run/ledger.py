"""The ledger: what the steps of a run have changed, from which undo is made."""

from collections.abc import Sequence

from kvmwizard.plan.changes import merged_changes
from kvmwizard.plan.conditions import changes_between
from kvmwizard.plan.model import Step
from kvmwizard.run.model import RunState, StepState
from kvmwizard.run.observe import observe


def ledger(step: Step, state: StepState, after: Sequence[str]) -> tuple[str, ...]:
    """All that the step has changed.

    Args:
        step: the step.
        state: how it stands; what its last attempt changed may not be known yet.
        after: what its conditions observe now.
    """
    if state.changes is not None:
        return state.changes
    since = (
        change
        for condition, was, now in zip(step.conditions, state.before, after, strict=True)
        for change in changes_between(condition, was, now)
    )
    return merged_changes(state.earlier, since)


def run_ledger(state: RunState) -> dict[str, tuple[str, ...]]:
    """What each step of the run has changed; steps that changed nothing are left out.

    Raises:
        RunRefused: what a step that was cut off has left behind cannot be looked at.
    """
    changes = {}
    for step in state.plan.steps:
        stands = state.steps[step.id]
        cut_off = stands.changes is None
        after = tuple(observe(condition) for condition in step.conditions) if cut_off else ()
        changes[step.id] = ledger(step, stands, after)
    return {step_id: entries for step_id, entries in changes.items() if entries}
