"""Whether what a journal and a plan say can have been written by a runner of kvmwizard; pure."""

import re
from collections.abc import Iterable

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.changes import PackagesAdded, parse_change
from kvmwizard.plan.conditions import changes_between
from kvmwizard.plan.model import Plan, Step
from kvmwizard.run.model import Event, StepDone, StepFailed, StepStarted, StepStopped

STEP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""What steps may be called: their logs are called so as well."""


def has_sound_steps(plan: Plan) -> bool:
    """Whether every step has a name of its own that a file can have, and needs only others of the plan."""
    names = {step.id for step in plan.steps}
    return len(names) == len(plan.steps) and all(
        STEP_ID.fullmatch(step.id) is not None and names.issuperset(step.needs) for step in plan.steps
    )


def garbled_step(plan: Plan, events: Iterable[Event]) -> str | None:
    """The first step of which the journal tells what nobody can have seen; None where all is sound.

    Such texts lie in strings within the events' JSON, so that a flipped bit in one leaves an event an event.
    """
    steps, begun = {step.id: step for step in plan.steps}, set[str]()
    for event in events:
        if (
            not isinstance(event, StepStarted | StepDone | StepFailed | StepStopped)
            or event.step not in steps
        ):
            continue
        try:
            if isinstance(event, StepStarted):
                _check_observed(steps[event.step], event.before)
                begun.add(event.step)
            elif event.changes is not None:
                _check_changes(event.changes)
            elif event.step not in begun:
                # Without a beginning there is nothing to compare with.
                return event.step
        except (ValueError, KeyError):
            return event.step
    return None


def _check_changes(changes: tuple[str, ...]) -> None:
    """Raises ValueError where one is none, or is of a package manager that nobody knows."""
    for change in map(parse_change, changes):
        if isinstance(change, PackagesAdded) and change.manager not in MANAGERS:
            raise ValueError(change.manager)


def _check_observed(step: Step, before: tuple[str, ...]) -> None:
    """Raises ValueError where it is not one text of the right kind for each condition."""
    for condition, observed in zip(step.conditions, before, strict=True):
        changes_between(condition, observed, observed)
