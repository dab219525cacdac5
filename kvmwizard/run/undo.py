"""Makes the run that takes another one back."""

import contextlib
import os
from collections.abc import Mapping
from itertools import takewhile

from kvmwizard.plan.changes import parse_change, subjects
from kvmwizard.plan.model import Plan
from kvmwizard.plan.undo import make_undo_plan
from kvmwizard.run.ledger import run_ledger
from kvmwizard.run.model import RunState, RunStatus
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
        elif run_id not in wholly and _has_changed_something(runs, state):
            return run_id
    return next((run_id for run_id, all_of_it in wholly.items() if not all_of_it), None)


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
    if state.plan.undoes is not None:
        raise RunRefused(
            say(
                "Run {run} took another one back, and is not taken back itself. To have again what it took "
                "away, carry a new plan out: kvmwizard apply",
                run=run_id,
            )
        )
    changed = _ledger_to_go_by(store, state)
    if not changed:
        raise RunRefused(say("The run changed nothing on this machine, so there is nothing to undo."))
    restored, lost = _restorable(changed)
    _refuse_below_later_changes(store, run_id, restored)
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


def _refuse_below_later_changes(store: RunStore, run_id: str, changed: Mapping[str, tuple[str, ...]]) -> None:
    """Raises RunRefused where a later run that still stands changed the same: its own is on top."""
    ours, undone = _subjects(changed), set[str]()
    for later in takewhile(lambda each: each != run_id, reversed(store.runs())):
        # To ask for a run by name is the way past another one that cannot be read.
        with contextlib.suppress(RunRefused):
            state = store.read(later)
            if state.plan.undoes is not None:
                undone |= {state.plan.undoes} if state.status is RunStatus.DONE else set()
            elif later not in undone and ours & _subjects(_restorable(_ledger_to_go_by(store, state))[0]):
                break
    else:
        return
    raise RunRefused(
        say(
            "The later run {later} changed the same, so that one has to be taken back before: "
            "kvmwizard undo {later}",
            later=later,
        )
    )


def _subjects(changed: Mapping[str, tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {each for texts in changed.values() for text in texts for each in subjects(parse_change(text))}


def _has_changed_something(store: RunStore, state: RunState) -> bool:
    known = [step.changes for step in state.steps.values()]
    return any(known) or (None in known and bool(_ledger_to_go_by(store, state)))


def _ledger_to_go_by(store: RunStore, state: RunState) -> dict[str, tuple[str, ...]]:
    """The run's ledger, from events that make sense. Raises RunRefused."""
    store.events(state.run_id)
    return run_ledger(state)
