"""The distribution, its package manager and its init system."""

from kvmwizard.host.reading import FactModel, Reading


class DistributionFacts(FactModel):
    """What /etc/os-release says (os-release(5))."""

    id: Reading[str]
    """debian, ubuntu, fedora, rhel, opensuse-leap, arch, alpine …"""
    like: tuple[str, ...]
    """ID_LIKE."""
    version: Reading[str]
    """VERSION_ID."""
    name: Reading[str]
    """PRETTY_NAME."""
    package_manager: Reading[str | None]
    """apt, dnf, yum, zypper, pacman or apk, by the program that is there; None where none is."""
    init: Reading[str]
    """The name of process 1: systemd, openrc-init, …"""
    udev_running: Reading[bool]
    """/run/udev/control exists."""
    boot_loader: Reading[str]
    """grub, systemd-boot, grubby-bls, zipl, none …"""
