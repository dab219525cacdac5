"""The device /dev/kvm: is it there, whose is it, does it open, does a guest run."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from enum import StrEnum
from typing import Literal

from kvmwizard.host.accounts import Accounts
from kvmwizard.host.acl import ACL_ATTRIBUTE, AclLine, AclTag, mask_of, parse_acl, permission_letters
from kvmwizard.host.host import Host
from kvmwizard.host.parsing import not_shown
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason

KVM_DEVICE = "/dev/kvm"
KVM_GET_API_VERSION = 0xAE00
"""_IO(KVMIO, 0x00) in include/uapi/linux/kvm.h."""


class AclEntry(FactModel):
    """One named entry of the device's access control list."""

    kind: Literal["user", "group"]
    id: int
    permissions: str
    """As `rw-`, after the mask."""


class DeviceNode(FactModel):
    """A device node as the file system shows it."""

    mode: int
    """The permission bits, as 0o660.

    Under an access control list the group's bits are what the owning group
    really has; stat(2) shows the list's mask in their place (acl(5)).
    """
    owner_id: int
    owner: str | None
    group_id: int
    group: str | None
    acl: Reading[tuple[AclEntry, ...]]


class OpenOutcome(StrEnum):
    """What came of really opening the device read-write as the caller."""

    OPENED = "opened"
    NOT_PERMITTED = "not-permitted"
    ABSENT = "absent"
    BUSY = "busy"
    """EBUSY: another hypervisor holds the virtualization extension."""
    NO_DEVICE = "no-device"
    """The node is there, but no driver answers (ENODEV, ENXIO)."""
    FAILED = "failed"


class GuestRun(FactModel):
    """What came of running our own few-instruction guest."""

    ran: bool
    instructions: int
    """Instructions the guest was to execute."""
    exits: int
    """Exits to user space, the final halt included."""
    output: str
    """What the guest wrote to its port."""
    milliseconds: float
    problem: str | None
    """Why it did not run, in English: the ioctl and its error, or the exit reason."""


class KvmDeviceFacts(FactModel):
    """Everything about /dev/kvm."""

    node: Reading[DeviceNode | None]
    """None where /dev/kvm does not exist."""
    opened: Reading[OpenOutcome]
    open_error: str | None
    """The system's own error where it did not open."""
    api_version: Reading[int]
    """KVM_GET_API_VERSION; 12 since Linux 2.6.22 (Documentation/virt/kvm/api.rst)."""
    guest: Reading[GuestRun]
    """Unknown where the device does not open, off x86-64, or on a recorded machine."""
    vhost_net: Reading[DeviceNode | None]
    vhost_vsock: Reading[DeviceNode | None]
    tun: Reading[DeviceNode | None]
    sev: Reading[bool]
    """/dev/sev exists."""


def read_kvm_device(
    host: Host, accounts: Accounts, run_guest: Callable[[], Reading[GuestRun]]
) -> KvmDeviceFacts:
    """Everything about /dev/kvm; `run_guest` is called where it opens."""
    node = read_device_node(host, accounts, KVM_DEVICE)
    opened, open_error, api_version = _try_device(host, node)
    return KvmDeviceFacts(
        node=node,
        opened=opened,
        open_error=open_error,
        api_version=api_version,
        guest=run_guest() if opened is OpenOutcome.OPENED else _no_guest(opened),
        vhost_net=read_device_node(host, accounts, "/dev/vhost-net"),
        vhost_vsock=read_device_node(host, accounts, "/dev/vhost-vsock"),
        tun=read_device_node(host, accounts, "/dev/net/tun"),
        sev=_there(read_device_node(host, accounts, "/dev/sev")),
    )


def read_device_node(host: Host, accounts: Accounts, path: str) -> Reading[DeviceNode | None]:
    """The device node at the path; None where there is none."""
    if not host.live:
        return _recorded_node(host, accounts, path)
    found = host.stat(path)
    if found is None or isinstance(found, Unknown):
        return found
    lines = _acl_lines(path)
    return DeviceNode(
        mode=_effective_mode(stat.S_IMODE(found.st_mode), lines),
        owner_id=found.st_uid,
        owner=accounts.user_name(found.st_uid),
        group_id=found.st_gid,
        group=accounts.group_name(found.st_gid),
        acl=lines if isinstance(lines, Unknown) else _named_entries(lines),
    )


def _recorded_node(host: Host, accounts: Accounts, path: str) -> Reading[DeviceNode | None]:
    devices = host.machine.devices
    if devices is None:
        return Unknown(unknown=UnknownReason.NOT_LIVE, detail=path)
    device = devices.get(path)
    if device is None:
        return None
    return DeviceNode(
        mode=device.mode,
        owner_id=device.owner_id,
        owner=accounts.user_name(device.owner_id),
        group_id=device.group_id,
        group=accounts.group_name(device.group_id),
        acl=tuple(
            AclEntry(kind=entry.kind, id=entry.id, permissions=entry.permissions) for entry in device.acl
        ),
    )


def _acl_lines(path: str) -> Reading[tuple[AclLine, ...]]:
    try:
        return parse_acl(os.getxattr(path, ACL_ATTRIBUTE))
    except ValueError as error:
        return Unknown(unknown=UnknownReason.NOT_UNDERSTOOD, detail=f"{path}: {error}")
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):  # no list, or none possible here
            return ()
        return Unknown(unknown=UnknownReason.NOT_READABLE, detail=f"{path}: {error.strerror}")


def _named_entries(lines: tuple[AclLine, ...]) -> tuple[AclEntry, ...]:
    mask = mask_of(lines)
    return tuple(
        AclEntry(
            kind="user" if line.tag is AclTag.USER else "group",
            id=line.id,
            permissions=permission_letters(line.permissions & mask),
        )
        for line in lines
        if line.tag in (AclTag.USER, AclTag.GROUP)
    )


def _effective_mode(mode: int, lines: Reading[tuple[AclLine, ...]]) -> int:
    if isinstance(lines, Unknown):
        return mode
    for line in lines:
        if line.tag is AclTag.OWNING_GROUP:
            return mode & ~0o070 | (line.permissions & mask_of(lines)) << 3
    return mode


def _try_device(
    host: Host, node: Reading[DeviceNode | None]
) -> tuple[Reading[OpenOutcome], str | None, Reading[int]]:
    if node is None:
        return OpenOutcome.ABSENT, None, not_shown(KVM_DEVICE)
    if not host.live:
        not_live = Unknown(unknown=UnknownReason.NOT_LIVE, detail=KVM_DEVICE)
        return not_live, None, not_live
    try:
        # Non-blocking, because something that is no device may stand in its place.
        descriptor = os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return _open_outcome(error), os.strerror(error.errno or 0), not_shown("the device does not open")
    try:
        return OpenOutcome.OPENED, None, fcntl.ioctl(descriptor, KVM_GET_API_VERSION)
    except OSError as error:
        return OpenOutcome.FAILED, f"KVM_GET_API_VERSION: {error.strerror}", not_shown("the ioctl failed")
    finally:
        os.close(descriptor)


def _open_outcome(error: OSError) -> OpenOutcome:
    return {
        errno.EACCES: OpenOutcome.NOT_PERMITTED,
        errno.EPERM: OpenOutcome.NOT_PERMITTED,
        errno.ENOENT: OpenOutcome.ABSENT,
        errno.EBUSY: OpenOutcome.BUSY,
        errno.ENODEV: OpenOutcome.NO_DEVICE,
        errno.ENXIO: OpenOutcome.NO_DEVICE,
    }.get(error.errno or 0, OpenOutcome.FAILED)


def _no_guest(opened: Reading[OpenOutcome]) -> Unknown:
    return opened if isinstance(opened, Unknown) else not_shown("the device does not open")


def _there(node: Reading[DeviceNode | None]) -> Reading[bool]:
    return node if isinstance(node, Unknown) else node is not None
