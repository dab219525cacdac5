"""SELinux and AppArmor."""

from enum import StrEnum

from kvmwizard.host.reading import FactModel, Reading


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
