"""Who may open a device: our reading of mode and list against the kernel's own verdict."""

import os
import random
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmwizard.checks.device_access import Way, access_of, without_list
from kvmwizard.host.accounts import Accounts
from kvmwizard.host.acl import ACL_ATTRIBUTE, AclLine, AclTag
from kvmwizard.host.host import Host
from kvmwizard.host.kvm_device import AclEntry, DeviceNode, read_device_node
from kvmwizard.host.users import UserFacts
from tests.facts_builder import ALICE, BOB, NOT_PERMITTED, ROOT, node
from tests.host.access_lists import encode_acl

GROUP_IDS = (4001, 4002, 4003)
USER_IDS = (5001, 5002)


def group_name(group_id: int) -> str:
    return f"group{group_id}"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def random_list(chance: random.Random, mode: int) -> list[AclLine]:
    named = [AclLine(AclTag.USER, chance.randrange(8), user) for user in USER_IDS if chance.random() < 0.6]
    named += [
        AclLine(AclTag.GROUP, chance.randrange(8), group) for group in GROUP_IDS if chance.random() < 0.3
    ]
    return [
        AclLine(AclTag.OWNER, mode >> 6 & 7),
        AclLine(AclTag.OWNING_GROUP, mode >> 3 & 7),
        AclLine(AclTag.MASK, chance.randrange(8)),
        AclLine(AclTag.OTHERS, mode & 7),
        *named,
    ]


def kernel_opens(path: Path, account: UserFacts, groups: list[int]) -> bool:
    """Whether a process of that account really opens the file for reading and writing."""
    opened = subprocess.run(
        ["/bin/sh", "-c", ': <>"$1"', "sh", str(path)],
        user=account.id,
        group=account.group_id,
        extra_groups=groups,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return opened.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as other users")
@pytest.mark.parametrize("seed", range(80))
def test_our_verdict_is_the_kernels(open_folder: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  -- the same machines at every run, nothing secret
    path = open_folder / "device"
    path.touch()
    mode = chance.randrange(0o1000)
    os.chown(path, chance.choice((0, *USER_IDS)), chance.choice(GROUP_IDS))
    path.chmod(mode)
    if chance.random() < 0.6:
        os.setxattr(path, ACL_ATTRIBUTE, encode_acl(random_list(chance, mode)))
    groups = [group for group in GROUP_IDS if chance.random() < 0.5]
    user_id = chance.choice(USER_IDS)
    names = tuple(group_name(group) for group in groups)
    account = UserFacts(name="someone", id=user_id, group_id=user_id, groups=names)

    found = read_device_node(Host(), Accounts(Host()), str(path))
    assert isinstance(found, DeviceNode)
    access = access_of(found.model_copy(update={"group": group_name(found.group_id)}), account)

    opens = kernel_opens(path, account, groups)
    if access.allowed is None:
        named_by_number = [
            entry for entry in found.acl if isinstance(entry, AclEntry) and entry.kind == "group"
        ]
        assert named_by_number, "it is only undecided where a list names groups by number"
    else:
        assert access.allowed is opens, (oct(mode), found, account)


def test_root_may_open_what_nobody_may() -> None:
    assert access_of(node(mode=0o000), ROOT).allowed is True


def test_the_owner_class_decides_for_the_owner_even_where_the_group_may() -> None:
    access = access_of(node(mode=0o060, owner=(ALICE.id, "alice")), ALICE)
    assert (access.allowed, access.way) == (False, Way.OWNER)


def test_the_group_is_matched_by_name_and_by_the_own_group_id() -> None:
    assert access_of(node(group=(42, "kvm")), ALICE).way is Way.GROUP
    assert access_of(node(group=(BOB.group_id, None)), BOB).allowed is True
    assert access_of(node(group=(42, None)), BOB).allowed is False


def test_a_list_that_cannot_be_read_leaves_a_refusal_open() -> None:
    assert access_of(node(acl=NOT_PERMITTED), BOB).allowed is None
    assert access_of(node(acl=NOT_PERMITTED), ALICE).allowed is True


def test_without_its_list_the_mode_alone_decides() -> None:
    listed = node(acl=(AclEntry(kind="user", id=BOB.id, permissions="rw-"),))
    assert access_of(listed, BOB).allowed is True
    assert access_of(without_list(listed), BOB).allowed is False


@pytest.mark.skipif(not Path("/dev/kvm").exists(), reason="there is no /dev/kvm here")
def test_the_real_device_is_read_as_the_system_shows_it() -> None:
    found = read_device_node(Host(), Accounts(Host()), "/dev/kvm")
    assert isinstance(found, DeviceNode)
    assert found.owner_id == Path("/dev/kvm").stat().st_uid
    assert found.mode & 0o707 == stat.S_IMODE(Path("/dev/kvm").stat().st_mode) & 0o707
