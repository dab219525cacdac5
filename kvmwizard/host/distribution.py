"""The distribution, its package manager and its init system."""

import re

from kvmwizard.host.grub_storage import read_grub_storage
from kvmwizard.host.host import Host
from kvmwizard.host.parsing import not_shown
from kvmwizard.host.reading import FactModel, Reading, Unknown

OS_RELEASE_FILES = ("/etc/os-release", "/usr/lib/os-release")
PACKAGE_MANAGERS = {
    "apt": "/usr/bin/apt-get",
    "dnf": "/usr/bin/dnf",
    "yum": "/usr/bin/yum",
    "zypper": "/usr/bin/zypper",
    "pacman": "/usr/bin/pacman",
    "apk": "/sbin/apk",
}
OWN_PACKAGE_MANAGERS = {
    "debian": "apt",
    "fedora": "dnf",
    "rhel": "dnf",
    "suse": "zypper",
    "arch": "pacman",
    "alpine": "apk",
}
"""What each family uses; other families' tools may be installed beside it."""
SYSTEMD_BOOT = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
"""Who started the kernel, in UTF-16 (the Boot Loader Interface); few boot loaders say so."""


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
    grub_storage: Reading[str] = not_shown("GRUB")
    """What holds GRUB's files, as GRUB sees it: `plain` where it can write there, else what keeps it from
    that: lvm, raid, or the file system, as btrfs or zfs."""


def read_distribution(host: Host) -> DistributionFacts:
    """The distribution and what it manages packages, services and booting with."""
    text = _os_release(host)
    values = text if isinstance(text, Unknown) else parse_os_release(text)
    family = () if isinstance(values, Unknown) else (values.get("ID", ""), *values.get("ID_LIKE", "").split())
    boot_loader = _boot_loader(host)
    return DistributionFacts(
        id=_value(values, "ID"),
        like=tuple(family[1:]),
        version=_value(values, "VERSION_ID"),
        name=_value(values, "PRETTY_NAME"),
        package_manager=_package_manager(host, family),
        init=host.read_word("/proc/1/comm"),
        udev_running=host.exists("/run/udev/control"),
        boot_loader=boot_loader,
        grub_storage=read_grub_storage(host) if boot_loader == "grub" else not_shown("GRUB"),
    )


def parse_os_release(text: str) -> dict[str, str]:
    """The assignments of os-release(5), their quotes and backslashes resolved."""
    values = {}
    for line in text.split("\n"):
        name, found, value = line.strip().partition("=")
        if found and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            values[name] = re.sub(r"\\([\\\"'$`])", r"\1", value)
    return values


def _os_release(host: Host) -> Reading[str]:
    for path in OS_RELEASE_FILES:
        text = host.read_text(path)
        if text is not None:
            return text
    return not_shown(OS_RELEASE_FILES[0])


def _value(values: dict[str, str] | Unknown, name: str) -> Reading[str]:
    if isinstance(values, Unknown):
        return values
    return values.get(name) or not_shown(f"{OS_RELEASE_FILES[0]}: {name}")


def _package_manager(host: Host, family: tuple[str, ...]) -> str | None:
    own = [manager for name, manager in OWN_PACKAGE_MANAGERS.items() if any(name in each for each in family)]
    for manager in (*own, *PACKAGE_MANAGERS):
        if host.is_program(PACKAGE_MANAGERS[manager]):
            return manager
    return None


def _boot_loader(host: Host) -> Reading[str]:
    if host.exists("/etc/zipl.conf") is True:
        return "zipl"
    loader = host.read_bytes(SYSTEMD_BOOT)
    if isinstance(loader, bytes) and "systemd-boot" in loader.decode("utf-16-le", errors="replace"):
        return "systemd-boot"
    if host.exists("/boot/grub2") is True or host.exists("/boot/grub") is True:
        described = host.exists("/boot/loader/entries")
        # The directory is root's alone on Fedora and RHEL, where grubby(8) manages it.
        return "grubby-bls" if described is not False and host.is_program("/usr/sbin/grubby") else "grub"
    if host.exists("/boot/loader/loader.conf") is True or host.exists("/efi/loader/loader.conf") is True:
        return "systemd-boot"
    if host.exists("/boot/extlinux/extlinux.conf") is True:
        return "extlinux"
    images = host.list_directory("/boot")
    return images if isinstance(images, Unknown) else "none"
