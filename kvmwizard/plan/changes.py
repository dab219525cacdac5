"""What a step changed: the entries of the ledger from which undo is made."""

from collections.abc import Iterable
from typing import Annotated, Literal, assert_never

from pydantic import Field, TypeAdapter

from kvmwizard.plan.base import PlanModel


class PackagesAdded(PlanModel):
    """Packages that were not installed before, those that came along included."""

    kind: Literal["packages-added"] = "packages-added"
    manager: str
    names: tuple[str, ...]


class FileWritten(PlanModel):
    """A file that was not there before (`previous_mode` is None) or said something else."""

    kind: Literal["file-written"] = "file-written"
    path: str
    previous_text: str | None
    """None, too, where whoever looked could not read it as text."""
    previous_mode: int | None


class GroupCreated(PlanModel):
    """A group that did not exist before."""

    kind: Literal["group-created"] = "group-created"
    group: str


class MemberAdded(PlanModel):
    """A user who was not in the group before."""

    kind: Literal["member-added"] = "member-added"
    user: str
    group: str


class ModuleInserted(PlanModel):
    """A module that was not loaded before."""

    kind: Literal["module-inserted"] = "module-inserted"
    name: str


class DeviceGiven(PlanModel):
    """A device node whose group or mode was another."""

    kind: Literal["device-given"] = "device-given"
    path: str
    previous_group: str
    previous_mode: int


class AclGranted(PlanModel):
    """A user's entry in a device's access list; `previous` is None where there was none."""

    kind: Literal["acl-granted"] = "acl-granted"
    path: str
    user: str
    previous: str | None


class TreeAdded(PlanModel):
    """A tree that root installed under this name; `release` is a kernel's."""

    kind: Literal["tree-added"] = "tree-added"
    name: str
    release: str | None


class BootChosen(PlanModel):
    """The boot loader was told which kernel to start; `previous_default` is what it had remembered."""

    kind: Literal["boot-chosen"] = "boot-chosen"
    previous_default: str | None


Change = Annotated[
    PackagesAdded
    | FileWritten
    | GroupCreated
    | MemberAdded
    | ModuleInserted
    | DeviceGiven
    | AclGranted
    | TreeAdded
    | BootChosen,
    Field(discriminator="kind"),
]

_CHANGE: TypeAdapter[Change] = TypeAdapter(Change)


def parse_change(text: str) -> Change:
    """The change from its JSON text. Raises ValidationError where it is none."""
    return _CHANGE.validate_json(text)


def subject(change: Change) -> tuple[str, ...]:
    """What was changed: two changes of the same subject undo to what the earlier one found."""
    match change:
        case PackagesAdded():
            return (change.kind, change.manager, *change.names)
        case FileWritten() | DeviceGiven():
            return (change.kind, change.path)
        case GroupCreated():
            return (change.kind, change.group)
        case MemberAdded():
            return (change.kind, change.user, change.group)
        case ModuleInserted() | TreeAdded():
            return (change.kind, change.name)
        case AclGranted():
            return (change.kind, change.path, change.user)
        case BootChosen():
            return (change.kind,)
        case _:
            assert_never(change)


def merged_changes(earlier: Iterable[str], later: Iterable[str]) -> tuple[str, ...]:
    """Both, as JSON texts; of what was changed twice, the entry that knows how it was at first."""
    kept = dict[tuple[str, ...], str]()
    for text in (*earlier, *later):
        kept.setdefault(subject(parse_change(text)), text)
    return tuple(kept.values())
