"""Which packed tree a step hands to root, and what the journal says that it must hold."""

from collections.abc import Iterable
from pathlib import Path

from kvmwizard.plan.build_model import InstallTree, StageKernel, StageQemu
from kvmwizard.plan.model import Plan, Step
from kvmwizard.product import read_stamp
from kvmwizard.run.model import Event, StepDone, StepSkipped


def staged_digest(step: Step) -> str | None:
    """What the stamp says of the tree that the step packed; None where it packs none. Raises OSError."""
    for action in step.actions:
        if isinstance(action, StageKernel | StageQemu):
            stamp = read_stamp(Path(action.stamp))
            digest = stamp.about.get("digest") if stamp is not None else None
            return digest if isinstance(digest, str) else None
    return None


def payload_of(step: Step) -> Path | None:
    """The packed tree that the step installs."""
    return next((Path(each.payload) for each in step.actions if isinstance(each, InstallTree)), None)


def journaled_digest(plan: Plan, events: Iterable[Event], payload: Path) -> str:
    """What the journal says of that tree since it was packed; empty where it says nothing."""
    packers = {
        step.id
        for step in plan.steps
        for action in step.actions
        if isinstance(action, StageKernel | StageQemu) and Path(action.payload) == payload
    }
    said = [
        event.payload_digest or ""
        for event in events
        if isinstance(event, StepDone | StepSkipped) and event.step in packers
    ]
    return said[-1] if said else ""
