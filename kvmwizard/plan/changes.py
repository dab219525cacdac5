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


def subjects(change: Change) -> frozenset[tuple[str, ...]]:
    """What was changed: of two changes of the same, the later one stands on the earlier one."""
    match change:
        case PackagesAdded():
            return frozenset((change.kind, change.manager, name) for name in change.names)
        case FileWritten() | DeviceGiven():
            return frozenset({(change.kind, change.path)})
        case GroupCreated():
            return frozenset({(change.kind, change.group)})
        case MemberAdded():
            return frozenset({(change.kind, change.user, change.group)})
        case ModuleInserted() | TreeAdded():
            return frozenset({(change.kind, change.name)})
        case AclGranted():
            return frozenset({(change.kind, change.path, change.user)})
        case BootChosen():
            return frozenset({(change.kind,)})
        case _:
            assert_never(change)


def merged_changes(earlier: Iterable[str], later: Iterable[str]) -> tuple[str, ...]:
    """Both, as JSON texts: packages together, and of what was changed twice how it was at first."""
    kept, packages = dict[frozenset[tuple[str, ...]], str](), dict[str, set[str]]()
    for text in (*earlier, *later):
        change = parse_change(text)
        if isinstance(change, PackagesAdded):
            packages.setdefault(change.manager, set()).update(change.names)
        else:
            kept.setdefault(subjects(change), text)
    added = (PackagesAdded(manager=each, names=tuple(sorted(names))) for each, names in packages.items())
    return (*(each.model_dump_json() for each in added), *kept.values())
