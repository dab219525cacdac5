"""What a check says."""

from dataclasses import dataclass
from enum import StrEnum

from kvmwizard.words import Words


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105  -- an outcome, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


class Cause(StrEnum):
    """Which of the known causes it is; stable, for programs."""

    NO_PROCESSOR_SUPPORT = "no-processor-support"
    FIRMWARE = "firmware"
    MODULE_NOT_LOADED = "module-not-loaded"
    MODULE_BLACKLISTED = "module-blacklisted"
    MODULE_REFUSED = "module-refused"
    NO_MODULE = "no-module"
    PERMISSION = "permission"
    NO_NESTING = "no-nesting"
    OTHER_HYPERVISOR = "other-hypervisor"
    CONTAINER = "container"
    NO_DEVICE = "no-device"
    GUEST_FAILED = "guest-failed"
    NOT_INSTALLED = "not-installed"
    NO_SPACE = "no-space"
    KERNEL_OPTION = "kernel-option"


class Mend(StrEnum):
    """What the wizard itself can add to the plan."""

    LOAD_MODULE = "load-module"
    GRANT_ACCESS = "grant-access"
    INSTALL_QEMU = "install-qemu"
    ENABLE_IOMMU = "enable-iommu"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check, judged."""

    id: str
    """Stable and documented in the README, as `kvm.device.opens`."""
    title: Words
    outcome: Outcome
    found: Words
    why: Words
    """Why it matters."""
    remedy: Words | None
    """What to do; None where nothing needs doing."""
    cause: Cause | None = None
    mend: Mend | None = None
