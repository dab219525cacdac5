import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kvmwizard.host.accounts import Accounts
from kvmwizard.host.acl import (
    ACL_ATTRIBUTE,
    AclLine,
    AclTag,
    mask_of,
    parse_acl,
    permission_letters,
)
from kvmwizard.host.host import Host
from kvmwizard.host.kvm_device import AclEntry, DeviceNode, read_device_node
from tests.host.access_lists import encode_acl

ALICE = 1000
USERS_LIST = (
    AclLine(AclTag.OWNER, 6),
    AclLine(AclTag.USER, 6, ALICE),
    AclLine(AclTag.OWNING_GROUP, 0),
    AclLine(AclTag.GROUP, 7, 36),
    AclLine(AclTag.MASK, 6),
    AclLine(AclTag.OTHERS, 0),
)
USERS_LIST_BYTES = bytes.fromhex(
    "0200000001000600ffffffff02000600e803000004000000ffffffff080007002400000010000600ffffffff20000000ffffffff"
)


def test_the_attribute_is_read_and_written_as_the_kernel_keeps_it() -> None:
    assert parse_acl(USERS_LIST_BYTES) == USERS_LIST
    assert encode_acl(reversed(USERS_LIST)) == USERS_LIST_BYTES


@given(
    some.lists(
        some.builds(AclLine, some.sampled_from(AclTag), some.integers(0, 7), some.integers(0, 2**32 - 1)),
        max_size=6,
    )
)
def test_every_list_comes_back(lines: list[AclLine]) -> None:
    assert parse_acl(encode_acl(lines)) == tuple(sorted(lines))


@given(some.binary(max_size=64))
def test_anything_else_is_a_value_error(content: bytes) -> None:
    try:
        lines = parse_acl(content)
    except ValueError:
        return
    assert len(content) == 4 + 8 * len(lines)


def test_a_mask_that_is_absent_takes_nothing_away() -> None:
    assert mask_of(USERS_LIST) == 6
    assert mask_of(USERS_LIST[:1]) == 7
    assert [permission_letters(number) for number in (0, 4, 6, 7)] == ["---", "r--", "rw-", "rwx"]


def test_the_kernel_takes_our_list_and_the_device_is_read_with_it(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.touch(mode=0o600)
    try:
        os.setxattr(path, ACL_ATTRIBUTE, encode_acl(USERS_LIST))
    except OSError as error:
        pytest.skip(f"this file system keeps no access control lists: {error}")
    assert path.stat().st_mode & 0o777 == 0o660  # the group's place shows the mask
    host = Host()
    node = read_device_node(host, Accounts(host), str(path))
    assert isinstance(node, DeviceNode)
    assert node.mode == 0o600  # the owning group itself has nothing
    assert node.acl == (
        AclEntry(kind="user", id=ALICE, permissions="rw-"),
        AclEntry(kind="group", id=36, permissions="rw-"),  # rwx after the mask
    )
