"""POSIX access control lists, as the kernel keeps them in an extended attribute.

Source: include/uapi/linux/posix_acl_xattr.h (a version, then entries of tag,
permissions and id, all little-endian) and acl(5).
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

ACL_ATTRIBUTE = "system.posix_acl_access"
ACL_VERSION = 2
UNDEFINED_ID = 0xFFFFFFFF
HEADER = struct.Struct("<I")
ENTRY = struct.Struct("<HHI")


class AclTag(IntEnum):
    """Whom an entry speaks of."""

    OWNER = 0x01
    USER = 0x02
    OWNING_GROUP = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHERS = 0x20


class AclLine(NamedTuple):
    """One entry; the id counts for USER and GROUP alone."""

    tag: AclTag
    permissions: int
    """Four for reading, two for writing, one for executing."""
    id: int = UNDEFINED_ID


def parse_acl(attribute: bytes) -> tuple[AclLine, ...]:
    """The entries in the attribute's bytes.

    Raises:
        ValueError: if the bytes are no list of the known version.
    """
    if len(attribute) < HEADER.size or (len(attribute) - HEADER.size) % ENTRY.size:
        raise ValueError(f"an access control list of {len(attribute)} bytes")
    (version,) = HEADER.unpack_from(attribute)
    if version != ACL_VERSION:
        raise ValueError(f"an access control list of version {version}")
    return tuple(
        AclLine(AclTag(tag), permissions, number)
        for tag, permissions, number in ENTRY.iter_unpack(attribute[HEADER.size :])
    )


def mask_of(lines: Iterable[AclLine]) -> int:
    """The most that named users, named groups and the owning group are given."""
    return next((line.permissions for line in lines if line.tag is AclTag.MASK), 0o7)


def permission_letters(permissions: int) -> str:
    """The permissions as `rw-`."""
    return "".join(letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
