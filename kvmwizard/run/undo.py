"""Makes the run that takes another one back."""

import os
from collections.abc import Mapping

from kvmwizard.plan.conditions import changes_between
from kvmwizard.plan.model import Plan, Step
from kvmwizard.plan.undo import make_undo_plan
from kvmwizard.run.model import RunStatus, StepState
from kvmwizard.run.observe import observe
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.restoring import restorable
from kvmwizard.run.scheduler import FINISHED_WELL
from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, say


def last_changing_run(runs: RunStore) -> str | None:
    """The last run whose changes no undo has taken back; None where there is none.

    Where every run was taken back, the last of which something had to stay: it may go by now.

    Raises:
        RunRefused: a run cannot be read.
    """
    wholly = dict[str, bool]()
    for run_id in reversed(runs.runs()):
        state = runs.read(run_id)
        undone = state.plan.undoes
        if undone is not None:
            all_of_it = all(step.status in FINISHED_WELL for step in state.steps.values())
            if all_of_it or state.status is RunStatus.DONE:
                wholly[undone] = all_of_it or wholly.get(undone, False)
        elif run_id not in wholly and any(step.changes for step in state.steps.values()):
            return run_id
    return next((run_id for run_id, all_of_it in wholly.items() if not all_of_it), None)


def create_undo_run(store: RunStore, run_id: str) -> str:
    """A new run that restores what the run's steps found; its id. It is yet to be started.

    Raises:
        RunRefused: as for `undo_plan`.
    """
    return store.create(undo_plan(store, run_id))


def undo_plan(store: RunStore, run_id: str) -> Plan:
    """What restores what the run's steps found.

    Raises:
        RunRefused: the run cannot be read or is still under way, or it changed nothing.
    """
    state = store.read(run_id)
    if state.status is RunStatus.RUNNING:
        raise RunRefused(
            say("The run is still under way. Stop it first (kvmwizard apply --stop), then undo it.")
        )
    # They are gone by, so they must make sense.
    store.events(run_id)
    ledger = {step.id: _changes(step, state.steps[step.id]) for step in state.plan.steps}
    changed = {step_id: changes for step_id, changes in ledger.items() if changes}
    if not changed:
        raise RunRefused(say("The run changed nothing on this machine, so there is nothing to undo."))
    restored, lost = _restorable(changed)
    plan = make_undo_plan(state.plan, restored, os.uname().release, run_id=run_id)
    plan = plan.model_copy(update={"notes": (*lost, *plan.notes)})
    if not plan.steps:
        raise RunRefused(plan.notes[0])
    return plan


def _restorable(
    ledger: Mapping[str, tuple[str, ...]],
) -> tuple[dict[str, tuple[str, ...]], tuple[Words, ...]]:
    """What of the ledger root can take back, and what is lost: one refused action would refuse all of it."""
    restored, lost = dict[str, tuple[str, ...]](), list[Words]()
    for step_id, changes in ledger.items():
        found = [restorable(change) for change in changes]
        restored[step_id] = tuple(change for change, _ in found if change is not None)
        lost += (words for _, words in found if words is not None)
    return restored, tuple(lost)


def _changes(step: Step, state: StepState) -> tuple[str, ...]:
    """The journal's ledger; for a step that was cut off, what differs now from before it."""
    if state.status in FINISHED_WELL or not state.before:
        return state.changes
    return tuple(
        change
        for condition, before in zip(step.conditions, state.before, strict=True)
        for change in changes_between(condition, before, observe(condition))
    )
