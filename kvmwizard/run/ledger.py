"""The ledger: what the steps of a run have changed, from which undo is made."""

from collections.abc import Callable, Sequence
from pathlib import Path

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.changes import Change, PackagesAdded, merged_changes, parse_change
from kvmwizard.plan.conditions import changes_between
from kvmwizard.plan.model import Step
from kvmwizard.run.model import RunState, StepState
from kvmwizard.run.observe import observe


def ledger(step: Step, state: StepState, after: Sequence[str], log: Path) -> tuple[str, ...]:
    """All that the step has changed.

    Args:
        step: the step.
        state: how it stands; what its last attempt changed may not be known yet.
        after: what its conditions observe now.
        log: of all of its attempts.
    """
    if state.changes is not None:
        return state.changes
    since = (
        change
        for condition, was, now in zip(step.conditions, state.before, after, strict=True)
        for text in changes_between(condition, was, now)
        for change in _own(parse_change(text), log)
    )
    return merged_changes(state.earlier, since)


def _own(change: Change, log: Path) -> tuple[str, ...]:
    """The change without the packages that the step did not put there itself, as its log has it.

    While it waits for the package manager's lock, somebody else installs what he likes.
    """
    if isinstance(change, PackagesAdded) and (unpacked := _unpacked(change.manager, log)) is not None:
        names = tuple(name for name in change.names if name in unpacked)
        return (change.model_copy(update={"names": names}).model_dump_json(),) if names else ()
    return (change.model_dump_json(),)


def _unpacked(manager: str, log: Path) -> frozenset[str] | None:
    try:
        return MANAGERS[manager].parse_unpacked(log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        # Without its log nobody knows better than the packages that are there.
        return None


def run_ledger(state: RunState, log_of: Callable[[str], Path]) -> dict[str, tuple[str, ...]]:
    """What each step of the run has changed; steps that changed nothing are left out.

    Args:
        state: how the run stands.
        log_of: where a step's log is, by the step's id.

    Raises:
        RunRefused: what a step that was cut off has left behind cannot be looked at.
    """
    changes = {}
    for step in state.plan.steps:
        stands = state.steps[step.id]
        cut_off = stands.changes is None
        after = tuple(observe(condition) for condition in step.conditions) if cut_off else ()
        changes[step.id] = ledger(step, stands, after, log_of(step.id))
    return {step_id: entries for step_id, entries in changes.items() if entries}
