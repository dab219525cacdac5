"""Access control lists, made for files to have."""

from collections.abc import Iterable

from kvmwizard.host.acl import ACL_VERSION, ENTRY, HEADER, AclLine


def encode_acl(lines: Iterable[AclLine]) -> bytes:
    """The attribute's bytes for these entries, in the order that the kernel asks for."""
    return HEADER.pack(ACL_VERSION) + b"".join(ENTRY.pack(*line) for line in sorted(lines))
