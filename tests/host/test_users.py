import grp
import os
import pwd
from pathlib import Path

import pytest

from kvmwizard.host.accounts import Accounts
from kvmwizard.host.host import Host
from kvmwizard.host.kvm_device import DeviceNode
from kvmwizard.host.reading import Reading, Unknown
from kvmwizard.host.users import UsersFacts, read_users
from tests.host.trees import make_host

ACCOUNTS = (
    "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "alice:x:1000:1000:Alice:/home/alice:/bin/bash\n"
    "robot:x:1001:1001::/:/bin/false\n"
    "nobody:x:65534:65534::/:/usr/sbin/nologin\n"
    "half a line\nbad:x:one:1:::\nhuge:x:99999999999:1::/:/bin/sh\n"
)
GROUP = "root:x:0:\nsudo:x:27:alice,bob\nkvm:x:104:alice\nalice:x:1000:\nvirt:x:36:\n"


def _device(group: str | None, group_id: int) -> DeviceNode:
    return DeviceNode(mode=0o660, owner_id=0, owner="root", group_id=group_id, group=group, acl=())


def _read(root: Path, device: Reading[DeviceNode | None] = None, **machine: object) -> UsersFacts:
    host = make_host(root, {"/etc/passwd": ACCOUNTS, "/etc/group": GROUP}, machine=machine)
    return read_users(host, Accounts(host), device)


def test_people_are_root_and_those_who_can_log_in(tmp_path: Path) -> None:
    users = _read(tmp_path)
    assert isinstance(users.accounts, tuple)
    assert [account.name for account in users.accounts] == ["root", "alice"]
    alice = users.account("alice")
    assert alice is not None
    assert alice.groups == ("alice", "sudo", "kvm")


def test_a_caller_without_a_login_shell_is_still_a_person(tmp_path: Path) -> None:
    users = _read(tmp_path, caller="robot")
    assert users.account("robot") is not None


def test_login_defs_moves_the_first_user_id(tmp_path: Path) -> None:
    host = make_host(
        tmp_path,
        {"/etc/passwd": ACCOUNTS, "/etc/group": GROUP, "/etc/login.defs": "#UID_MIN 5\nUID_MIN 2000\n"},
    )
    users = read_users(host, Accounts(host), None)
    assert isinstance(users.accounts, tuple)
    assert [account.name for account in users.accounts] == ["root"]


@pytest.mark.parametrize(
    ("device", "group", "group_id"),
    [
        (_device("virt", 36), "virt", 36),
        (_device("root", 0), "kvm", 104),
        (_device(None, 993), None, 993),
        (None, "kvm", 104),
    ],
)
def test_the_group_is_the_devices_own_and_never_assumed(
    tmp_path: Path, device: DeviceNode | None, group: str | None, group_id: int
) -> None:
    users = _read(tmp_path, device)
    assert (users.kvm_group, users.kvm_group_id) == (group, group_id)


def test_no_group_of_that_name_is_none(tmp_path: Path) -> None:
    host = make_host(tmp_path, {"/etc/group": "root:x:0:\n"})
    users = read_users(host, Accounts(host), None)
    assert users.kvm_group is None
    assert users.kvm_group_id is None


def test_databases_that_are_not_there_are_unknown(tmp_path: Path) -> None:
    host = Host(tmp_path)
    users = read_users(host, Accounts(host), None)
    for answer in (users.caller, users.accounts, users.kvm_group, users.effective_groups):
        assert isinstance(answer, Unknown)


def test_who_called_sudo_is_the_person(tmp_path: Path) -> None:
    assert _read(tmp_path, caller="root", sudo_caller="alice").person == "alice"
    assert _read(tmp_path, caller="alice").person == "alice"


def test_the_live_caller_and_groups() -> None:
    host = Host()
    users = read_users(host, Accounts(host), None)
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert users.caller == name
    assert isinstance(users.effective_groups, tuple)
    assert set(os.getgroups()) <= set(users.effective_groups)
    caller = users.account(name)
    assert caller is not None
    stored = os.getgrouplist(name, pwd.getpwnam(name).pw_gid)
    assert set(caller.groups) >= {grp.getgrgid(number).gr_name for number in stored}


@pytest.mark.skipif(os.geteuid() != 0, reason="a variable left behind counts only for root")
@pytest.mark.parametrize(
    ("value", "expected"), [("nobody", "nobody"), ("no-such-account", None), ("root", None)]
)
def test_sudo_user_counts_where_the_account_exists(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None
) -> None:
    monkeypatch.setenv("SUDO_USER", value)
    host = Host()
    assert read_users(host, Accounts(host), None).sudo_caller == expected
