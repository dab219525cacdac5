"""Who may open a device: root, owner, group, access control list, everyone.

Follows the access check algorithm of acl(5): the first class that a user belongs
to decides, and later ones are not asked.
"""

from dataclasses import dataclass
from enum import StrEnum

from kvmwizard.host.kvm_device import AclEntry, DeviceNode
from kvmwizard.host.reading import Unknown
from kvmwizard.host.users import UserFacts

ROOT_ID = 0
READ_AND_WRITE = 0o6


class Way(StrEnum):
    """Which class of the algorithm decided."""

    ROOT = "root"
    OWNER = "owner"
    LISTED_USER = "listed-user"
    GROUP = "group"
    EVERYONE = "everyone"


@dataclass(frozen=True)
class DeviceAccess:
    """Whether an account may read and write a device."""

    allowed: bool | None
    """None where the list that would decide could not be read or names groups by number alone."""
    way: Way


def access_of(node: DeviceNode, account: UserFacts) -> DeviceAccess:
    """What `account` may do at its next login, by its stored groups (acl(5))."""
    if account.id == ROOT_ID:
        return DeviceAccess(allowed=True, way=Way.ROOT)
    if account.id == node.owner_id:
        return DeviceAccess(allowed=owner_may_open(node), way=Way.OWNER)
    entries = () if isinstance(node.acl, Unknown) else node.acl
    listed = [entry for entry in entries if entry.kind == "user" and entry.id == account.id]
    if listed:
        return DeviceAccess(allowed=_grants(listed[0]), way=Way.LISTED_USER)
    access = _access_by_group(node, entries, account) or DeviceAccess(
        allowed=everyone_may_open(node), way=Way.EVERYONE
    )
    if isinstance(node.acl, Unknown) and not access.allowed:
        return DeviceAccess(allowed=None, way=Way.LISTED_USER)
    return access


def without_list(node: DeviceNode) -> DeviceNode:
    """The node as its mode alone has it, for what holds after the list is gone."""
    return node.model_copy(update={"acl": ()})


def owner_may_open(node: DeviceNode) -> bool:
    """Whether the mode lets the device's owner read and write it."""
    return _granted(node.mode >> 6)


def group_may_open(node: DeviceNode) -> bool:
    """Whether the mode lets the device's own group read and write it."""
    return _granted(node.mode >> 3)


def everyone_may_open(node: DeviceNode) -> bool:
    """Whether the mode lets every user read and write it."""
    return _granted(node.mode)


def is_member(account: UserFacts, group: str | None, group_id: int | None) -> bool:
    """Whether the account's stored groups include this one, as its own group or as a member."""
    return account.group_id == group_id or (group is not None and group in account.groups)


def _access_by_group(
    node: DeviceNode, entries: tuple[AclEntry, ...], account: UserFacts
) -> DeviceAccess | None:
    """What the group classes say; None where the account is in none of them."""
    verdicts: list[bool | None] = []
    if is_member(account, node.group, node.group_id):
        verdicts.append(group_may_open(node))
    for entry in entries:
        if entry.kind == "group" and entry.id == account.group_id:
            verdicts.append(_grants(entry))
        elif entry.kind == "group" and _grants(entry):
            # Stored groups are known by name, and the list names this one by number.
            verdicts.append(None)
    if not verdicts:
        return None
    allowed = True if True in verdicts else (None if None in verdicts else False)
    return DeviceAccess(allowed=allowed, way=Way.GROUP)


def _granted(bits: int) -> bool:
    return bits & READ_AND_WRITE == READ_AND_WRITE


def _grants(entry: AclEntry) -> bool:
    return entry.permissions.startswith("rw")
