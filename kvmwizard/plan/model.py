"""What a plan is made of: steps, the conditions they bring about, and their actions.

A plan is data: made purely from facts and answers, reviewed by the person,
bound by its digest, carried out by the runner and the root helper.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kvmwizard.words import Words


class PlanModel(BaseModel):
    """The base of everything in a plan: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Conditions: how the world shall be. A step whose conditions all hold is skipped
# with the evidence; what stood before a step is what its undo restores.


class PackageListsFresh(PlanModel):
    """The package manager's lists are younger than `seconds`."""

    kind: Literal["package-lists-fresh"] = "package-lists-fresh"
    manager: str
    seconds: int


class PackagesInstalled(PlanModel):
    """These packages are installed."""

    kind: Literal["packages-installed"] = "packages-installed"
    manager: str
    names: tuple[str, ...]


class FileHolds(PlanModel):
    """A file of ours holds exactly this text, with this mode, owned by root."""

    kind: Literal["file-holds"] = "file-holds"
    path: str
    text: str
    mode: int


class GroupExists(PlanModel):
    """A group of this name exists."""

    kind: Literal["group-exists"] = "group-exists"
    group: str


class UserInGroup(PlanModel):
    """The user is stored as a member of the group."""

    kind: Literal["user-in-group"] = "user-in-group"
    user: str
    group: str


class ModuleLoaded(PlanModel):
    """The module is loaded or built in."""

    kind: Literal["module-loaded"] = "module-loaded"
    name: str


class DeviceGroup(PlanModel):
    """The device belongs to the group and has the mode."""

    kind: Literal["device-group"] = "device-group"
    path: str
    group: str
    mode: int


class DeviceAclGrants(PlanModel):
    """The device's access list gives the user read and write, or the user has them anyway."""

    kind: Literal["device-acl-grants"] = "device-acl-grants"
    path: str
    user: str


class GuestRanAs(PlanModel):
    """Our own guest ran as this user with their next login's groups; never holds beforehand."""

    kind: Literal["guest-ran-as"] = "guest-ran-as"
    user: str


Condition = Annotated[
    PackageListsFresh
    | PackagesInstalled
    | FileHolds
    | GroupExists
    | UserInGroup
    | ModuleLoaded
    | DeviceGroup
    | DeviceAclGrants
    | GuestRanAs,
    Field(discriminator="kind"),
]


# Actions: what is done. Each has an equivalent shell line (plan.shell).


class RunCommand(PlanModel):
    """Run a command: absolute program, no shell, cleared environment."""

    kind: Literal["run-command"] = "run-command"
    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    """Beside PATH and LC_ALL=C."""


class WriteFile(PlanModel):
    """Write a whole file atomically, owned by root."""

    kind: Literal["write-file"] = "write-file"
    path: str
    text: str
    mode: int


class RemoveFile(PlanModel):
    """Remove a file that a step of ours wrote."""

    kind: Literal["remove-file"] = "remove-file"
    path: str


class SetDeviceGroup(PlanModel):
    """Give the device node to a group, with a mode."""

    kind: Literal["set-device-group"] = "set-device-group"
    path: str
    group: str
    mode: int


class GrantDeviceAcl(PlanModel):
    """Add the user to the device's access list, reading and writing."""

    kind: Literal["grant-device-acl"] = "grant-device-acl"
    path: str
    user: str


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
    RunCommand | WriteFile | RemoveFile | SetDeviceGroup | GrantDeviceAcl | RevokeDeviceAcl | RunGuestAs,
    Field(discriminator="kind"),
]

Resource = Literal["network", "packages", "processor"]
"""`packages` is the package manager's lock: one step at a time holds it."""


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


class Plan(PlanModel):
    """Steps in an order that respects their needs."""

    schema_version: Literal[1] = 1
    purpose: Literal["setup", "undo"] = "setup"
    user: str
    """Whom the host is for."""
    qemu: str | None
    """The path of the emulator the proof will use, where it is known or foreseen."""
    kernel_release: str | None = None
    """The kernel to be running after a restart, where the plan installs one."""
    notes: tuple[Words, ...] = ()
    """What the person should know before agreeing."""
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
