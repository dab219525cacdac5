"""What was seen of the world for a condition: one model a kind of condition, as JSON text."""

from typing import Literal

from kvmwizard.plan.base import PlanModel
from kvmwizard.words import Words


class ObservedLists(PlanModel):
    """Of the package manager's lists, for `package-lists-fresh`."""

    age_seconds: float | None
    """Since they were last fetched; None where there are none, or nobody knows."""
    missing: tuple[str, ...]
    """Of the wanted packages, those not installed or too old (`missing_packages`)."""


class ObservedPackages(PlanModel):
    """Of all packages, for `packages-installed` and `packages-absent`."""

    installed: dict[str, str]
    """The version of every installed package, wanted or not: undo needs to know what came along."""
    unfinished: tuple[str, ...] = ()
    """What is there in part: being upgraded just now, or left so by a script of its own that failed."""

    @property
    def present(self) -> frozenset[str]:
        """What is there, wholly or in part."""
        return frozenset({*self.installed, *self.unfinished})


class ObservedFile(PlanModel):
    """Of one file, for `file-holds`, `file-mentions` and `file-absent`."""

    exists: bool
    text: str | None = None
    """None where there is no such file, or it cannot be read as text."""
    mode: int | None = None
    """The permission bits."""
    owner_id: int | None = None


class ObservedGroup(PlanModel):
    """Of one group, for `group-exists` and `group-absent`."""

    exists: bool
    id: int | None = None
    members: tuple[str, ...] = ()
    """Stored members, those whose own group it is left out."""


class ObservedMembership(PlanModel):
    """Of one user, for `user-in-group` and `user-not-in-group`."""

    groups: tuple[str, ...]
    """Stored: the groups a new login would have, their own included. Empty for an unknown user."""


class ObservedModule(PlanModel):
    """Of one module, for `module-loaded` and `module-unloaded`."""

    state: Literal["loaded", "built-in", "absent"]
    """`absent`: not in the running kernel, whether or not it could be loaded."""


class ObservedDevice(PlanModel):
    """Of a device node, for `device-group`; see there what the mode is under an access list."""

    exists: bool
    group: str | None = None
    """The group's name, or its number where it has no name."""
    mode: int | None = None


class ObservedDeviceAccess(PlanModel):
    """Of a user's way to a device, for `device-acl-grants` and `device-acl-without`."""

    exists: bool
    entry: str | None = None
    """The user's own entry in the access list after the mask, as `rw-`; None where there is none."""
    anyway: bool = False
    """The user may read and write without an entry: as owner, as everybody, or, where the
    observer is that user, by a group that this very session has. Stored groups do not count."""


class ObservedGuest(PlanModel):
    """Of our own guest, for `guest-ran-as`."""

    ran: bool = False
    """True only when the step's own action has just succeeded."""


class ObservedProduct(PlanModel):
    """Of a stamp, for `product-made`."""

    identity: str | None = None
    """None where there is no stamp."""
    whole: bool = False
    told: Words | None = None
    """What its maker says of it: whose signature is good, which settings were not taken."""


class ObservedTree(PlanModel):
    """Of root's list of what it installed, for `tree-installed` and `tree-absent`."""

    identity: str | None = None
    """None where there is no list."""
    whole: bool = False
    """Every file on the list is there, of the size it had."""
    files: int = 0
    package: bool = False
    """The package manager owns it."""
    release: str | None = None
    """Of a kernel."""


class ObservedBoot(PlanModel):
    """Of the boot loader's choice, for `boots-next` and `boots-by-default`."""

    next_release: str | None = None
    """None where no kernel is named for the next start alone."""
    running_release: str
    default_release: str | None = None
    """What it starts otherwise, where it says so."""
    default_entry: str | None = None
    """What the boot loader remembers as its default, in its own words."""
    readable: bool = True
    """Whoever looks may read what the boot loader remembers."""


class ObservedKernel(PlanModel):
    """Of the running kernel, for `kernel-runs`."""

    release: str
    """As `uname -r`."""


class ObservedProof(PlanModel):
    """Of the proof, for `guests-proved`."""

    good: bool = False
    """True only when the step's own action has just succeeded."""
