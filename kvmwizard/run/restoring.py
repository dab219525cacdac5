"""What undo could not write back as it stood: root writes few lines, modes and groups, then as now."""

from kvmwizard.plan import model
from kvmwizard.plan.changes import DeviceGiven, FileWritten, parse_change
from kvmwizard.plan.conditions import changes_between
from kvmwizard.plan.observed import ObservedDevice, ObservedFile
from kvmwizard.run.observe import observe
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.root_helper import Refused, check_action
from kvmwizard.words import Words, say


def told_of_this_machine(plan: model.Plan) -> model.Plan:
    """The plan, its steps saying of what stands on this machine now whether undo could not restore it.

    A step that cannot be looked at is left as it is: carrying it out will say why.
    """
    steps = tuple(step.model_copy(update=_seen_to_last(step)) for step in plan.steps)
    return plan.model_copy(update={"steps": steps})


def restorable(change: str) -> tuple[str | None, Words | None]:
    """The change as root can take it back, if at all, and what is lost of it, if anything.

    Args:
        change: an entry of the ledger, as `plan.changes` has it.

    Raises:
        ValidationError: it is no such entry.
    """
    found = parse_change(change)
    if isinstance(found, FileWritten):
        return _restorable_file(found)
    if isinstance(found, DeviceGiven):
        back = model.SetDeviceGroup(path=found.path, group=found.previous_group, mode=found.previous_mode)
        return (change, None) if _root_does(back) else (None, _device_words(found))
    return change, None


def _restorable_file(change: FileWritten) -> tuple[str, Words | None]:
    """Where the old text cannot come back, the new one goes all the same."""
    text, mode = change.previous_text, change.previous_mode
    if mode is None:
        return change.model_dump_json(), None
    if text is not None and _root_does(model.WriteFile(path=change.path, text=text, mode=mode)):
        return change.model_dump_json(), None
    gone = change.model_copy(update={"previous_text": None, "previous_mode": None})
    return gone.model_dump_json(), say(
        "{path} is there already, and holds what kvmwizard does not write or may not read. That is "
        "replaced, and undo cannot bring it back: it removes the file. Keep a copy.",
        path=change.path,
    )


def _device_words(change: DeviceGiven) -> Words:
    return say(
        "{device} belongs to the group {group} with the mode {mode}, which kvmwizard does not set. Undo "
        "leaves the device as it is then; give it back yourself.",
        device=change.path,
        group=change.previous_group,
        mode=f"{change.previous_mode:04o}",
    )


def _root_does(action: model.Action) -> bool:
    try:
        check_action(action.model_dump(mode="json"))
    except Refused:
        return False
    return True


def _seen_to_last(step: model.Step) -> dict[str, Words]:
    for condition in step.conditions:
        for change in _foreseen(condition):
            _, words = restorable(change)
            if words is not None:
                return {"lasting": words}
    return {}


def _foreseen(condition: model.Condition) -> tuple[str, ...]:
    """What the ledger will say once the condition was brought about, of what here may be past restoring."""
    if isinstance(condition, model.FileHolds):
        held = ObservedFile(exists=True, text=condition.text, mode=condition.mode, owner_id=0)
        after = held.model_dump_json()
    elif isinstance(condition, model.DeviceGroup):
        after = ObservedDevice(exists=True, group=condition.group, mode=condition.mode).model_dump_json()
    else:
        return ()
    try:
        return changes_between(condition, observe(condition), after)
    except RunRefused:
        return ()
