"""People on this machine, and the groups they have now and at their next login."""

import os

from kvmwizard.host.accounts import Account, Accounts
from kvmwizard.host.host import Host
from kvmwizard.host.kvm_device import DeviceNode
from kvmwizard.host.parsing import not_shown
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason
from kvmwizard.host.toolchain import find_program

KVM_GROUP = "kvm"
NO_LOGIN_SHELLS = ("nologin", "false", "true", "sync", "shutdown", "halt")
"""Programs in a shell's place that let nobody in."""
CALLER_VARIABLES = ("SUDO_USER", "DOAS_USER")


class UserFacts(FactModel):
    """One account that a person logs in with (or root)."""

    name: str
    id: int
    group_id: int
    groups: tuple[str, ...]
    """Stored: the groups a new login would have, its own group included."""


class UsersFacts(FactModel):
    """Accounts and the caller."""

    caller: Reading[str]
    """Who runs this process."""
    effective_groups: Reading[tuple[int, ...]]
    """The group ids this process really has."""
    sudo_caller: str | None
    """SUDO_USER (or DOAS_USER), where the caller came by it and the account exists."""
    accounts: Reading[tuple[UserFacts, ...]]
    """root, and every account with a login shell and an id of UID_MIN or above (login.defs(5))."""
    kvm_group: Reading[str | None]
    """The group that owns /dev/kvm if it is not root's, else a group named kvm, else None."""
    kvm_group_id: Reading[int | None]
    sudo: Reading[str | None]
    """The path of sudo; None where there is none."""

    @property
    def person(self) -> str | None:
        """The user that guests are for: who called sudo, else the caller."""
        return self.sudo_caller or (self.caller if isinstance(self.caller, str) else None)

    def account(self, name: str) -> UserFacts | None:
        """The account of that name, where it is known."""
        if not isinstance(self.accounts, tuple):
            return None
        return next((account for account in self.accounts if account.name == name), None)


def read_users(host: Host, accounts: Accounts, device: Reading[DeviceNode | None]) -> UsersFacts:
    """Accounts and the caller; `device` is /dev/kvm."""
    caller = _caller(host, accounts)
    sudo_caller = _sudo_caller(host, accounts)
    group, group_id = _kvm_group(accounts, device)
    return UsersFacts(
        caller=caller,
        effective_groups=_effective_groups(host),
        sudo_caller=sudo_caller,
        accounts=_people(accounts, {name for name in (caller, sudo_caller) if isinstance(name, str)}),
        kvm_group=group,
        kvm_group_id=group_id,
        sudo=find_program(host, ("sudo",)),
    )


def _caller(host: Host, accounts: Accounts) -> Reading[str]:
    if host.live:
        return accounts.user_name(os.geteuid()) or not_shown(f"no account has the id {os.geteuid()}")
    return host.machine.caller or Unknown(unknown=UnknownReason.NOT_LIVE, detail="who called")


def _effective_groups(host: Host) -> Reading[tuple[int, ...]]:
    if host.live:
        return tuple(sorted({*os.getgroups(), os.getegid()}))
    if host.machine.groups is not None:
        return host.machine.groups
    return Unknown(unknown=UnknownReason.NOT_LIVE, detail="the groups of this process")


def _sudo_caller(host: Host, accounts: Accounts) -> str | None:
    if not host.live:
        return host.machine.sudo_caller
    if os.geteuid() != 0:  # only sudo's and doas's own word counts, not a variable left behind
        return None
    return next((name for name in named_callers() if name != "root" and accounts.user(name)), None)


def named_callers() -> tuple[str, ...]:
    """Whom sudo and doas name as having called, sudo's first; whether that counts is the reader's to know."""
    return tuple(name for variable in CALLER_VARIABLES if (name := os.environ.get(variable)))


def _people(accounts: Accounts, callers: set[str]) -> Reading[tuple[UserFacts, ...]]:
    if isinstance(accounts.users, Unknown):
        return accounts.users
    lowest, highest = accounts.user_id_range
    people = {
        account.name: account
        for account in accounts.users
        if account.id == 0 or (lowest <= account.id <= highest and _lets_in(account))
    }
    for name in callers:
        account = accounts.user(name)
        if account:
            people[name] = account
    return tuple(
        _user(accounts, account, account.name in callers)
        for account in sorted(people.values(), key=lambda account: (account.id, account.name))
    )


def _lets_in(account: Account) -> bool:
    return account.shell.rpartition("/")[2] not in NO_LOGIN_SHELLS


def _user(accounts: Accounts, account: Account, is_caller: bool) -> UserFacts:
    groups = accounts.stored_groups_of_person(account) if is_caller else accounts.stored_groups(account)
    return UserFacts(name=account.name, id=account.id, group_id=account.group_id, groups=groups)


def _kvm_group(
    accounts: Accounts, device: Reading[DeviceNode | None]
) -> tuple[Reading[str | None], Reading[int | None]]:
    if isinstance(device, DeviceNode) and device.group_id != 0:
        return device.group, device.group_id
    if isinstance(accounts.groups, Unknown):
        return accounts.groups, accounts.groups
    found = accounts.group_id(KVM_GROUP)
    return (None if found is None else KVM_GROUP), found
