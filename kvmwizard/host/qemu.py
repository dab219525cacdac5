"""QEMU binaries that are already here."""

from kvmwizard.host.reading import FactModel, Reading


class QemuBinary(FactModel):
    """One emulator binary."""

    path: str
    architecture: str
    """Of the guests it runs: x86_64, aarch64, …"""
    version: Reading[str]
    """As 7.2.22."""


class QemuFacts(FactModel):
    """All that were found."""

    binaries: Reading[tuple[QemuBinary, ...]]
    """qemu-system-*, qemu-kvm and /usr/libexec/qemu-kvm (RHEL); one entry a real file."""
    image_tool: Reading[str | None]
    """The path of qemu-img."""
