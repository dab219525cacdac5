"""The firmware: whether it has locked virtualization off, and Secure Boot."""

from enum import StrEnum

from kvmwizard.host.reading import FactModel, Reading


class FirmwareLock(StrEnum):
    """What the firmware did with the virtualization extension."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """Locked off: only the firmware's setup can turn it on."""
    UNLOCKED = "unlocked"
    """Neither: the kernel may turn it on itself."""


class FirmwareFacts(FactModel):
    """What the firmware allows."""

    virtualization: Reading[FirmwareLock]
    """MSR 0x3A (Intel) or 0xC0010114 (AMD) of every processor, else the kernel's log."""
    virtualization_source: str | None
    """Where that was read: `msr`, `kernel-log`; None where it is unknown."""
    registers: tuple[str, ...]
    """The register of each processor as hexadecimal text, where readable."""
    uefi: Reading[bool]
    secure_boot: Reading[bool]
    lockdown: Reading[str]
    """none, integrity or confidentiality (/sys/kernel/security/lockdown)."""
