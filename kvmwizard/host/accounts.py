"""The machine's user and group databases: passwd(5), group(5) and login.defs(5)."""

import grp
import os
import pwd
from functools import cached_property
from typing import NamedTuple

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import NUMBER
from kvmwizard.host.reading import Reading, Unknown, UnknownReason

PASSWD_FIELDS = 7
GROUP_FIELDS = 4
FIRST_USER_ID = 1000
"""UID_MIN where login.defs(5) does not say otherwise."""
LAST_USER_ID = 60000
LARGEST_ID = 0xFFFFFFFE


class Account(NamedTuple):
    """A line of /etc/passwd."""

    name: str
    id: int
    group_id: int
    shell: str


class Group(NamedTuple):
    """A line of /etc/group."""

    name: str
    id: int
    members: tuple[str, ...]


class Accounts:
    """The databases' files; on the live machine, whom they miss is asked of its name services."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @cached_property
    def users(self) -> Reading[tuple[Account, ...]]:
        """Every line of /etc/passwd that parses."""
        lines = self._fields("/etc/passwd", PASSWD_FIELDS)
        if isinstance(lines, Unknown):
            return lines
        return tuple(
            Account(name=fields[0], id=int(fields[2]), group_id=int(fields[3]), shell=fields[6])
            for fields in lines
            if _is_id(fields[2]) and _is_id(fields[3])
        )

    @cached_property
    def groups(self) -> Reading[tuple[Group, ...]]:
        """Every line of /etc/group that parses."""
        lines = self._fields("/etc/group", GROUP_FIELDS)
        if isinstance(lines, Unknown):
            return lines
        return tuple(
            Group(name=fields[0], id=int(fields[2]), members=tuple(filter(None, fields[3].split(","))))
            for fields in lines
            if _is_id(fields[2])
        )

    @cached_property
    def user_id_range(self) -> tuple[int, int]:
        """UID_MIN and UID_MAX of people's accounts."""
        text = self.host.read_text("/etc/login.defs")
        words = [line.split() for line in text.split("\n")] if isinstance(text, str) else []
        said = {line[0]: int(line[1]) for line in words if len(line) > 1 and _is_id(line[1])}
        return said.get("UID_MIN", FIRST_USER_ID), said.get("UID_MAX", LAST_USER_ID)

    def user(self, name: str) -> Account | None:
        """The account of that name."""
        listed = () if isinstance(self.users, Unknown) else self.users
        found = next((account for account in listed if account.name == name), None)
        if found or not self.host.live:
            return found
        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError):
            return None
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_shell)

    def user_name(self, user_id: int) -> str | None:
        """The name of the account with that id."""
        listed = () if isinstance(self.users, Unknown) else self.users
        found = next((account.name for account in listed if account.id == user_id), None)
        if found or not self.host.live:
            return found
        try:
            return pwd.getpwuid(user_id).pw_name
        except (KeyError, OverflowError):
            return None

    def group_name(self, group_id: int) -> str | None:
        """The name of the group with that id."""
        listed = () if isinstance(self.groups, Unknown) else self.groups
        found = next((group.name for group in listed if group.id == group_id), None)
        if found or not self.host.live:
            return found
        try:
            return grp.getgrgid(group_id).gr_name
        except (KeyError, OverflowError):
            return None

    def group_id(self, name: str) -> int | None:
        """The id of the group of that name."""
        listed = () if isinstance(self.groups, Unknown) else self.groups
        found = next((group.id for group in listed if group.name == name), None)
        if found is not None or not self.host.live:
            return found
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return None

    def stored_groups(self, account: Account) -> tuple[str, ...]:
        """The names of the groups that a new login of the account has, its own group first."""
        listed = () if isinstance(self.groups, Unknown) else self.groups
        own = self.group_name(account.group_id)
        names = [own] if own else []
        names += [group.name for group in listed if account.name in group.members and group.name != own]
        return tuple(names)

    def stored_groups_of_person(self, account: Account) -> tuple[str, ...]:
        """As `stored_groups`, on the live machine with the groups that its name services add."""
        names = self.stored_groups(account)
        if not self.host.live:
            return names
        added = map(self.group_name, os.getgrouplist(account.name, account.group_id))
        return tuple(dict.fromkeys([*names, *filter(None, added)]))

    def _fields(self, path: str, count: int) -> Reading[list[list[str]]]:
        text = self.host.read_text(path)
        if text is None:
            return Unknown(unknown=UnknownReason.NOT_SHOWN, detail=path)
        if isinstance(text, Unknown):
            return text
        lines = [line.split(":") for line in text.split("\n")]
        return [fields for fields in lines if len(fields) == count and fields[0]]


def _is_id(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None and int(text) <= LARGEST_ID
