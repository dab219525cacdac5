"""Makes the run that takes another one back."""

import contextlib
import os
from collections.abc import Mapping
from itertools import takewhile

from kvmwizard.paths import directory_option
from kvmwizard.plan.changes import parse_change, subjects
from kvmwizard.plan.model import Plan
from kvmwizard.plan.undo import PREFIX, make_undo_plan
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
    over = list[str]()
    for run_id in reversed(runs.runs()):
        state = runs.read(run_id)
        undone = state.plan.undoes
        if undone is not None:
            if _is_over(state):
                over.append(undone)
        elif run_id not in over and _has_changed_something(runs, state):
            return run_id
    return next((run_id for run_id in over if _can_go(runs, run_id)), None)


def still_standing(runs: RunStore, undo: RunState) -> str | None:
    """Beside the run that this undo took back: the one that the next undo would. Raises RunRefused."""
    found = last_changing_run(runs)
    return None if found == undo.plan.undoes else found


def _is_over(undo: RunState) -> bool:
    """Whether an undo has done what it can, though its runner was killed before it could say so."""
    return undo.status is RunStatus.DONE or all(step.status in FINISHED_WELL for step in undo.steps.values())


def _can_go(runs: RunStore, run_id: str) -> bool:
    """Whether something had to stay that may go by now, as a kernel that ran."""
    try:
        undo_plan(runs, run_id)
    except RunRefused:
        return False
    return True


def undo_plan(store: RunStore, run_id: str) -> Plan:
    """What restores what the run's steps found.

    Raises:
        RunRefused: the run cannot be read or is still under way, or it changed nothing.
    """
    state = store.read(run_id)
    if state.status is RunStatus.RUNNING:
        raise RunRefused(
            say(
                "The run is still under way. Stop it first ({command}), then undo it.",
                command=f"kvmwizard apply --stop{directory_option(store.state_directory)}",
            )
        )
    step_at_work = store.step_at_work(run_id)
    if step_at_work is not None:
        raise RunRefused(
            say(
                "The step {step} of the run {run} is still at work, though its runner is gone, so what it "
                "changes is not known yet. Wait until it has ended, or go on with that run, which waits for "
                "it; then undo it.",
                run=run_id,
                step=step_at_work,
            )
        )
    if state.plan.undoes is not None:
        raise RunRefused(
            say(
                "Run {run} took another one back, and is not taken back itself. To have again what it took "
                "away, carry a new plan out: {command}",
                run=run_id,
                command=f"kvmwizard apply{directory_option(store.state_directory)}",
            )
        )
    ledger = _ledger_to_go_by(store, state)
    if not ledger:
        raise RunRefused(say("The run changed nothing on this machine, so there is nothing to undo."))
    gone = _taken_back(store, run_id)
    changed = {step_id: changes for step_id, changes in ledger.items() if step_id not in gone}
    if not changed:
        raise RunRefused(
            say(
                "All that the run {run} changed was taken back already. What is like it by now is somebody "
                "else's, and stays.",
                run=run_id,
            )
        )
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
        try:
            state = store.read(later)
            store.events(later)
        except RunRefused:
            # To ask for a run by name is the way past another one that cannot be read.
            continue
        if state.plan.undoes is not None:
            undone |= {state.plan.undoes} if _is_over(state) else set()
        elif later not in undone and ours & _subjects(_restorable(_ledger_to_go_by(store, state))[0]):
            break
    else:
        return
    raise RunRefused(
        say(
            "The later run {later} changed the same, so that one has to be taken back before: {command}",
            later=later,
            command=f"kvmwizard undo {later}{directory_option(store.state_directory)}",
        )
    )


def _subjects(changed: Mapping[str, tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {each for texts in changed.values() for text in texts for each in subjects(parse_change(text))}


def _taken_back(store: RunStore, run_id: str) -> frozenset[str]:
    """The steps of the run that undos have taken back: what is like that by now is somebody else's."""
    found = set[str]()
    for later in takewhile(lambda each: each != run_id, reversed(store.runs())):
        with contextlib.suppress(RunRefused):
            state = store.read(later)
            if state.plan.undoes == run_id:
                found |= {
                    step_id.removeprefix(PREFIX)
                    for step_id, step in state.steps.items()
                    if step.status in FINISHED_WELL
                }
    return frozenset(found)


def _has_changed_something(store: RunStore, state: RunState) -> bool:
    known = [step.changes for step in state.steps.values()]
    return any(known) or (None in known and bool(_ledger_to_go_by(store, state)))


def _ledger_to_go_by(store: RunStore, state: RunState) -> dict[str, tuple[str, ...]]:
    """The run's ledger, from events that make sense. Raises RunRefused."""
    store.events(state.run_id)
    return run_ledger(state, lambda step_id: store.log_path(state.run_id, step_id))
