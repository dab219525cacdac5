"""The device /dev/kvm: is it there, whose is it, does it open, does a guest run."""

from enum import StrEnum

from kvmwizard.host.reading import FactModel, Reading


class AclEntry(FactModel):
    """One named entry of the device's access control list."""

    kind: str
    """`user` or `group`."""
    id: int
    permissions: str
    """As `rw-`, after the mask."""


class DeviceNode(FactModel):
    """A device node as the file system shows it."""

    mode: int
    """The permission bits, as 0o660."""
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
