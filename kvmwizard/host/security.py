"""SELinux and AppArmor."""

from enum import StrEnum

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import not_shown, switch
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason

SELINUX_ENFORCE = "/sys/fs/selinux/enforce"
APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"


class SelinuxMode(StrEnum):
    """SELinux's mode."""

    ENFORCING = "enforcing"
    PERMISSIVE = "permissive"
    DISABLED = "disabled"


class SecurityFacts(FactModel):
    """Mandatory access control."""

    selinux: Reading[SelinuxMode]
    apparmor: Reading[bool]
    """Enabled in the running kernel."""


def read_security(host: Host) -> SecurityFacts:
    """Mandatory access control (selinux(8); admin-guide/LSM/apparmor.rst)."""
    return SecurityFacts(selinux=_selinux(host), apparmor=_apparmor(host))


def _selinux(host: Host) -> Reading[SelinuxMode]:
    enforcing = switch(host.read_word(SELINUX_ENFORCE), SELINUX_ENFORCE)
    if isinstance(enforcing, bool):
        return SelinuxMode.ENFORCING if enforcing else SelinuxMode.PERMISSIVE
    if enforcing.unknown is not UnknownReason.NOT_SHOWN:
        return enforcing
    # The kernel registers selinuxfs only where SELinux is on (security/selinux/selinuxfs.c).
    known = host.read_word("/proc/filesystems")
    if isinstance(known, Unknown):
        return known
    return not_shown(SELINUX_ENFORCE) if "selinuxfs" in known.split() else SelinuxMode.DISABLED


def _apparmor(host: Host) -> Reading[bool]:
    enabled = switch(host.read_word(APPARMOR_ENABLED), APPARMOR_ENABLED)
    absent = isinstance(enabled, Unknown) and enabled.unknown is UnknownReason.NOT_SHOWN
    return False if absent and host.list_directory("/sys/module") else enabled
