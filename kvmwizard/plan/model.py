"""What a plan is made of: steps, the conditions they bring about, and their actions.

A plan is data: made purely from facts and answers, reviewed by the person,
bound by its digest, carried out by the runner and the root helper.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from kvmwizard.plan.base import PlanModel
from kvmwizard.plan.build_model import (
    BootKernel,
    BootsByDefault,
    BootsNext,
    CompileKernel,
    CompileQemu,
    ConfigureKernel,
    ConfigureQemu,
    DownloadSource,
    FetchTag,
    GuestsProved,
    InstallTree,
    KernelRuns,
    ProductMade,
    ProveGuests,
    RemoveTree,
    SetDefaultBoot,
    SetNextBoot,
    StageKernel,
    StageQemu,
    TreeAbsent,
    TreeInstalled,
    UnpackPackages,
    UnpackSource,
)
from kvmwizard.words import Words

# Conditions: how the world shall be. A step whose conditions all hold is skipped
# with the evidence; what stood before a step is what its undo restores.


class PackageListsFresh(PlanModel):
    """The package manager's lists are younger than `seconds`, or nothing `wanted` is missing."""

    kind: Literal["package-lists-fresh"] = "package-lists-fresh"
    manager: str
    seconds: int
    wanted: "PackagesInstalled"
    """What the lists are for: once that is installed, no lists are needed."""


class PackagesInstalled(PlanModel):
    """These packages are installed."""

    kind: Literal["packages-installed"] = "packages-installed"
    manager: str
    names: tuple[str, ...]
    at_least: dict[str, str] = Field(default_factory=dict)
    """The version a package must have reached, where one matters."""


class PackagesAbsent(PlanModel):
    """None of these packages is installed."""

    kind: Literal["packages-absent"] = "packages-absent"
    manager: str
    names: tuple[str, ...]


class FileHolds(PlanModel):
    """A file of ours holds exactly this text, with this mode, owned by root."""

    kind: Literal["file-holds"] = "file-holds"
    path: str
    text: str
    mode: int


class FileMentions(PlanModel):
    """A file that another program writes says this somewhere, or may not be read by whoever looks."""

    kind: Literal["file-mentions"] = "file-mentions"
    path: str
    text: str


class FileAbsent(PlanModel):
    """There is no such file."""

    kind: Literal["file-absent"] = "file-absent"
    path: str


class GroupExists(PlanModel):
    """A group of this name exists."""

    kind: Literal["group-exists"] = "group-exists"
    group: str


class GroupAbsent(PlanModel):
    """No group of this name exists."""

    kind: Literal["group-absent"] = "group-absent"
    group: str


class UserInGroup(PlanModel):
    """The user is stored as a member of the group."""

    kind: Literal["user-in-group"] = "user-in-group"
    user: str
    group: str


class UserNotInGroup(PlanModel):
    """The user is not stored as a member of the group, or there is no such group or user."""

    kind: Literal["user-not-in-group"] = "user-not-in-group"
    user: str
    group: str


class ModuleLoaded(PlanModel):
    """The module is loaded or built in."""

    kind: Literal["module-loaded"] = "module-loaded"
    name: str


class ModuleUnloaded(PlanModel):
    """The module is not loaded."""

    kind: Literal["module-unloaded"] = "module-unloaded"
    name: str


class DeviceGroup(PlanModel):
    """The device belongs to the group and has the mode.

    Where the device has an access list, the mode's group bits are those of the
    list's entry for the owning group: chmod and stat show the list's mask
    there instead (acl(5)).
    """

    kind: Literal["device-group"] = "device-group"
    path: str
    group: str
    """Its name, or its number where it has no name."""
    mode: int


class DeviceAclGrants(PlanModel):
    """The device's access list gives the user exactly these permissions.

    Reading and writing may also come from elsewhere, as long as the user's
    running session has them.
    """

    kind: Literal["device-acl-grants"] = "device-acl-grants"
    path: str
    user: str
    permissions: Annotated[str, Field(pattern=r"^[r-][w-]-$")] = "rw-"


class DeviceAclWithout(PlanModel):
    """The device's access list does not name the user, or there is no such device."""

    kind: Literal["device-acl-without"] = "device-acl-without"
    path: str
    user: str


class GuestRanAs(PlanModel):
    """Our own guest ran as this user with their next login's groups; never holds beforehand."""

    kind: Literal["guest-ran-as"] = "guest-ran-as"
    user: str


Condition = Annotated[
    PackageListsFresh
    | PackagesInstalled
    | PackagesAbsent
    | FileHolds
    | FileMentions
    | FileAbsent
    | GroupExists
    | GroupAbsent
    | UserInGroup
    | UserNotInGroup
    | ModuleLoaded
    | ModuleUnloaded
    | DeviceGroup
    | DeviceAclGrants
    | DeviceAclWithout
    | GuestRanAs
    | ProductMade
    | TreeInstalled
    | TreeAbsent
    | BootsNext
    | BootsByDefault
    | KernelRuns
    | GuestsProved,
    Field(discriminator="kind"),
]


# Actions: what is done. Each has an equivalent shell line (plan.shell).


class RunCommand(PlanModel):
    """Run a command: absolute program, no shell, cleared environment."""

    kind: Literal["run-command"] = "run-command"
    argv: tuple[str, ...]
    environment: dict[str, str] = Field(default_factory=dict)
    """Beside PATH and LC_ALL=C."""
    locks: tuple[str, ...] = ()
    """Lock files (fcntl) that must be free before it starts, for programs that do not wait for
    them by themselves; waited for at most packages.protocol.LOCK_SECONDS, and meanwhile the log
    says what apt would say of it.
    """


class WriteFile(PlanModel):
    """Write a whole file atomically, owned by root; missing folders are made with mode 0755."""

    kind: Literal["write-file"] = "write-file"
    path: str
    text: str
    mode: int


class RemoveFile(PlanModel):
    """Remove a file that a step of ours wrote."""

    kind: Literal["remove-file"] = "remove-file"
    path: str


class RemoveEmptyGroup(PlanModel):
    """Remove a group that a step of ours created; refused while it has members."""

    kind: Literal["remove-empty-group"] = "remove-empty-group"
    group: str


class SetDeviceGroup(PlanModel):
    """Give the device node to a group, with a mode; both as in `DeviceGroup`."""

    kind: Literal["set-device-group"] = "set-device-group"
    path: str
    group: str
    mode: int


class GrantDeviceAcl(PlanModel):
    """Give the user these permissions in the device's access list."""

    kind: Literal["grant-device-acl"] = "grant-device-acl"
    path: str
    user: str
    permissions: Annotated[str, Field(pattern=r"^[r-][w-]-$")] = "rw-"


class RevokeDeviceAcl(PlanModel):
    """Take the user off the device's access list."""

    kind: Literal["revoke-device-acl"] = "revoke-device-acl"
    path: str
    user: str


class RunGuestAs(PlanModel):
    """Run our own guest as the user, with the groups of their next login."""

    kind: Literal["run-guest-as"] = "run-guest-as"
    user: str
    program_sha256: str
    """Of kvmwizard/host/tiny_guest.py, whose text the runner hands to the root helper."""


Action = Annotated[
    RunCommand
    | WriteFile
    | RemoveFile
    | RemoveEmptyGroup
    | SetDeviceGroup
    | GrantDeviceAcl
    | RevokeDeviceAcl
    | RunGuestAs
    | DownloadSource
    | UnpackSource
    | FetchTag
    | ConfigureKernel
    | CompileKernel
    | BootKernel
    | StageKernel
    | UnpackPackages
    | ConfigureQemu
    | CompileQemu
    | StageQemu
    | InstallTree
    | RemoveTree
    | SetNextBoot
    | SetDefaultBoot
    | ProveGuests,
    Field(discriminator="kind"),
]

Resource = Literal["network", "packages", "processor", "memory"]
"""What steps share. `packages` is the package manager's lock, and `memory` is named by steps whose needs
do not fit into it together: one step at a time has either. The others' users slow each other down.
"""


class Step(PlanModel):
    """One thing that will be done."""

    id: str
    """As `packages.install`; stable within a plan."""
    title: Words
    needs: tuple[str, ...] = ()
    """Ids of steps that must be done before."""
    root: bool
    uses: tuple[Resource, ...] = ()
    seconds: float
    """Expected time."""
    disk_bytes: int = 0
    """Expected disk space."""
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]
    required: bool = True
    """False where the rest of the plan is good without it: its failure is a warning."""
    lasting: Words | None = None
    """What undo cannot take back, said at the review; None where all can be."""

    @property
    def awaits_restart(self) -> bool:
        """Whether nothing but the person's restart of the machine fulfils this step."""
        return any(isinstance(condition, KernelRuns) for condition in self.conditions)

    @property
    def arms_restart(self) -> bool:
        """Whether this step chooses what the next restart starts: one restart uses its work up."""
        return any(isinstance(condition, BootsNext) for condition in self.conditions)


class Plan(PlanModel):
    """Steps in an order that respects their needs."""

    schema_version: Literal[1] = 1
    undoes: str | None = None
    """The run that this plan takes back, by its id; None for a plan that sets up."""
    user: str
    """Whom the host is for."""
    builder: str | None = None
    """Who builds, where root runs the wizard: a user's name, or a number that no user has.

    None: whoever runs the wizard. Nothing is ever unpacked or built as root.
    """
    build_folder: str | None = None
    """Where sources are kept and built, mode 0700 and the builder's own; None where nothing is built."""
    qemu: str | None
    """The path of the emulator the proof will use, where it is known or foreseen."""
    kernel_release: str | None = None
    """The kernel to be running after a restart, where the plan installs one."""
    notes: tuple[Words, ...] = ()
    """What the person should know before agreeing."""
    settled: tuple[Words, ...] = ()
    """Of the notes, those that nobody needs any more once all is done."""
    only_shown: Words | None = None
    """Why this plan can be looked at but not carried out; None where it can."""
    steps: tuple[Step, ...]

    def step(self, step_id: str) -> Step:
        """The step of that id. Raises KeyError where there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    @property
    def needs_root(self) -> bool:
        """Whether any step runs as root."""
        return any(step.root for step in self.steps)


def canonical_json(plan: Plan) -> bytes:
    """The plan as the bytes that are digested, stored and sent: sorted keys, ASCII, no spaces."""
    return json.dumps(plan.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode("ascii")


def plan_digest(plan: Plan) -> str:
    """The SHA-256 of `canonical_json`, as hexadecimal: what the review shows and root insists on."""
    return hashlib.sha256(canonical_json(plan)).hexdigest()
