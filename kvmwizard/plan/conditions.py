"""Judges what was observed: does a condition hold, by what evidence, and what has changed since.

Pure. `run.observe` looks at the world and gives the JSON text of the model in
`plan.observed` that belongs to the condition's kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan import changes, model
from kvmwizard.plan.base import PlanModel
from kvmwizard.plan.build_model import (
    BootsByDefault,
    BootsNext,
    GuestsProved,
    KernelRuns,
    ProductMade,
    TreeAbsent,
    TreeInstalled,
)
from kvmwizard.plan.observed import (
    ObservedBoot,
    ObservedDevice,
    ObservedDeviceAccess,
    ObservedFile,
    ObservedGroup,
    ObservedGuest,
    ObservedKernel,
    ObservedLists,
    ObservedMembership,
    ObservedModule,
    ObservedPackages,
    ObservedProduct,
    ObservedProof,
    ObservedTree,
)
from kvmwizard.words import Words, say, say_many

READ_AND_WRITE = "rw-"


def holds(condition: model.Condition, observed: str) -> bool:
    """Whether the condition holds. Raises ValidationError where `observed` is not of its kind."""
    kind = _KINDS[condition.kind]
    return kind.holds(condition, kind.observed.model_validate_json(observed))


def evidence(condition: model.Condition, observed: str) -> Words:
    """What shows that the condition holds, or what was found instead."""
    kind = _KINDS[condition.kind]
    return kind.evidence(condition, kind.observed.model_validate_json(observed))


def changes_between(condition: model.Condition, before: str, after: str) -> tuple[str, ...]:
    """What is now different from before, each the JSON text of a `Change`; empty where nothing is."""
    kind = _KINDS[condition.kind]
    found = kind.changes(
        condition, kind.observed.model_validate_json(before), kind.observed.model_validate_json(after)
    )
    return tuple(change.model_dump_json() for change in found)


def missing_packages(condition: model.PackagesInstalled, installed: dict[str, str]) -> tuple[str, ...]:
    """The packages that are not installed, or older than the condition asks for."""
    compare = MANAGERS[condition.manager].compare_versions
    return tuple(
        name
        for name in condition.names
        if name not in installed
        or (name in condition.at_least and compare(installed[name], condition.at_least[name]) < 0)
    )


# Packages


def _lists_hold(condition: model.PackageListsFresh, observed: ObservedLists) -> bool:
    fresh = observed.age_seconds is not None and observed.age_seconds <= condition.seconds
    return fresh or not observed.missing


def _lists_evidence(_: model.PackageListsFresh, observed: ObservedLists) -> Words:
    if not observed.missing:
        return say("nothing has to be installed")
    if observed.age_seconds is None:
        return say("there are no package lists that are known to be fresh")
    hours = round(observed.age_seconds / 3600)
    if hours == 0:
        return say("the package lists are less than an hour old")
    return say_many(
        "the package lists are {count} hour old", "the package lists are {count} hours old", hours
    )


def _packages_evidence(condition: model.PackagesInstalled, observed: ObservedPackages) -> Words:
    missing = missing_packages(condition, observed.installed)
    if missing:
        return say("not installed, or too old: {packages}", packages=", ".join(missing))
    present = ", ".join(f"{name} {observed.installed[name]}" for name in condition.names)
    return say("installed: {packages}", packages=present)


def _packages_changes(
    condition: model.PackagesInstalled, before: ObservedPackages, after: ObservedPackages
) -> tuple[changes.Change, ...]:
    added = tuple(sorted(after.present - before.present))
    return (changes.PackagesAdded(manager=condition.manager, names=added),) if added else ()


def _absent_packages_evidence(condition: model.PackagesAbsent, observed: ObservedPackages) -> Words:
    left = [name for name in condition.names if name in observed.present]
    if left:
        return say("still installed: {packages}", packages=", ".join(left))
    return say("none of these packages is installed")


# Files


def _file_holds(condition: model.FileHolds, observed: ObservedFile) -> bool:
    return (observed.text, observed.mode, observed.owner_id) == (condition.text, condition.mode, 0)


def _file_evidence(condition: model.FileHolds, observed: ObservedFile) -> Words:
    if not observed.exists:
        return say("{path} does not exist", path=condition.path)
    if _file_holds(condition, observed):
        return say("{path} says so", path=condition.path)
    return say("{path} has another text, mode or owner", path=condition.path)


def _file_changes(
    condition: model.FileHolds, before: ObservedFile, after: ObservedFile
) -> tuple[changes.Change, ...]:
    if before == after or not after.exists:
        return ()
    return (changes.FileWritten(path=condition.path, previous_text=before.text, previous_mode=before.mode),)


def _mentions(condition: model.FileMentions, observed: ObservedFile) -> bool:
    return observed.exists and (observed.text is None or condition.text in observed.text)


def _mention_evidence(condition: model.FileMentions, observed: ObservedFile) -> Words:
    if not observed.exists:
        return say("{path} does not exist", path=condition.path)
    if observed.text is None:
        return say("{path} cannot be read", path=condition.path)
    if condition.text in observed.text:
        return say("{path} has {text}", path=condition.path, text=condition.text)
    return say("{path} does not have {text}", path=condition.path, text=condition.text)


def _absent_file_evidence(condition: model.FileAbsent, observed: ObservedFile) -> Words:
    if observed.exists:
        return say("{path} is still there", path=condition.path)
    return say("{path} does not exist", path=condition.path)


# Groups


def _group_evidence(condition: model.GroupExists | model.GroupAbsent, observed: ObservedGroup) -> Words:
    if observed.exists and observed.id is not None:
        return say("the group {group} exists, with the number {id}", group=condition.group, id=observed.id)
    return say("there is no group {group}", group=condition.group)


def _group_changes(
    condition: model.GroupExists, before: ObservedGroup, after: ObservedGroup
) -> tuple[changes.Change, ...]:
    return (changes.GroupCreated(group=condition.group),) if after.exists and not before.exists else ()


def _membership_evidence(
    condition: model.UserInGroup | model.UserNotInGroup, observed: ObservedMembership
) -> Words:
    if condition.group in observed.groups:
        return say("{user} is in the group {group}", user=condition.user, group=condition.group)
    return say("{user} is not in the group {group}", user=condition.user, group=condition.group)


def _membership_changes(
    condition: model.UserInGroup, before: ObservedMembership, after: ObservedMembership
) -> tuple[changes.Change, ...]:
    joined = condition.group in after.groups and condition.group not in before.groups
    return (changes.MemberAdded(user=condition.user, group=condition.group),) if joined else ()


# Modules


def _module_evidence(condition: model.ModuleLoaded | model.ModuleUnloaded, observed: ObservedModule) -> Words:
    if observed.state == "built-in":
        return say("{module} is built into the kernel", module=condition.name)
    if observed.state == "loaded":
        return say("the module {module} is loaded", module=condition.name)
    return say("the module {module} is not loaded", module=condition.name)


def _module_changes(
    condition: model.ModuleLoaded, before: ObservedModule, after: ObservedModule
) -> tuple[changes.Change, ...]:
    loaded = before.state == "absent" and after.state == "loaded"
    return (changes.ModuleInserted(name=condition.name),) if loaded else ()


# The device


def _device_evidence(condition: model.DeviceGroup, observed: ObservedDevice) -> Words:
    if not observed.exists or observed.group is None or observed.mode is None:
        return say("{path} does not exist", path=condition.path)
    return say(
        "{path} belongs to the group {group}, mode {mode}",
        path=condition.path,
        group=observed.group,
        mode=f"{observed.mode:04o}",
    )


def _device_changes(
    condition: model.DeviceGroup, before: ObservedDevice, after: ObservedDevice
) -> tuple[changes.Change, ...]:
    if before == after or before.group is None or before.mode is None:
        return ()
    return (changes.DeviceGiven(path=condition.path, previous_group=before.group, previous_mode=before.mode),)


def _access_holds(condition: model.DeviceAclGrants, observed: ObservedDeviceAccess) -> bool:
    if condition.permissions == READ_AND_WRITE and observed.anyway:
        return True
    return observed.entry == condition.permissions


def _access_evidence(
    condition: model.DeviceAclGrants | model.DeviceAclWithout, observed: ObservedDeviceAccess
) -> Words:
    if not observed.exists:
        return say("{path} does not exist", path=condition.path)
    if observed.entry is not None:
        return say(
            "the access list of {path} gives {user} {permissions}",
            path=condition.path,
            user=condition.user,
            permissions=observed.entry,
        )
    if observed.anyway and isinstance(condition, model.DeviceAclGrants):
        return say("{user} may use {path} already", path=condition.path, user=condition.user)
    return say("the access list of {path} does not name {user}", path=condition.path, user=condition.user)


def _access_changes(
    condition: model.DeviceAclGrants, before: ObservedDeviceAccess, after: ObservedDeviceAccess
) -> tuple[changes.Change, ...]:
    if before.entry == after.entry or after.entry is None:
        return ()
    return (changes.AclGranted(path=condition.path, user=condition.user, previous=before.entry),)


# The guest


def _guest_evidence(condition: model.GuestRanAs, observed: ObservedGuest) -> Words:
    if observed.ran:
        return say("a guest ran as {user}", user=condition.user)
    return say("only running a guest as {user} can show it", user=condition.user)


# What is built


def _product_holds(condition: ProductMade, observed: ObservedProduct) -> bool:
    return observed.whole and observed.identity == condition.identity


def _product_evidence(condition: ProductMade, observed: ObservedProduct) -> Words:
    if observed.identity is None:
        return say("not made yet: {path} does not exist", path=condition.path)
    if observed.identity != condition.identity:
        return say("made for other choices, as {path} says", path=condition.path)
    if not observed.whole:
        return say("files that {path} lists are missing", path=condition.path)
    return observed.told or say("made, as {path} says", path=condition.path)


def _tree_holds(condition: TreeInstalled, observed: ObservedTree) -> bool:
    return observed.whole and observed.identity == condition.identity


def _tree_evidence(condition: TreeInstalled | TreeAbsent, observed: ObservedTree) -> Words:
    if observed.identity is None:
        return say("{name} is not installed", name=condition.name)
    if isinstance(condition, TreeInstalled) and observed.identity != condition.identity:
        return say("{name} is installed, made with other choices", name=condition.name)
    if not observed.whole:
        return say("{name} is installed in part", name=condition.name)
    return say_many(
        "{name} is installed, {count} file",
        "{name} is installed, {count} files",
        observed.files,
        name=condition.name,
    )


def _tree_changes(
    condition: TreeInstalled, before: ObservedTree, after: ObservedTree
) -> tuple[changes.Change, ...]:
    if after.identity is None or before == after:
        return ()
    return (changes.TreeAdded(name=condition.name, release=after.release),)


def _boot_holds(condition: BootsNext, observed: ObservedBoot) -> bool:
    return condition.release in {observed.next_release, observed.running_release}


def _boot_evidence(condition: BootsNext, observed: ObservedBoot) -> Words:
    if observed.running_release == condition.release:
        return say("Linux {release} runs", release=condition.release)
    if observed.next_release is not None:
        return say("the next start is Linux {release}", release=observed.next_release)
    if not observed.readable:
        return say("what the boot loader starts next cannot be read")
    return say("the boot loader starts its default next")


def _default_boot_evidence(_: BootsByDefault, observed: ObservedBoot) -> Words:
    if observed.default_release is not None:
        return say("the boot loader starts Linux {release} by default", release=observed.default_release)
    if not observed.readable:
        return say("what the boot loader starts by default cannot be read")
    return say("the boot loader starts the first kernel of its menu")


def _default_boot_changes(
    _: BootsByDefault, before: ObservedBoot, after: ObservedBoot
) -> tuple[changes.Change, ...]:
    if after.default_release in {None, before.default_release}:
        return ()
    return (changes.BootChosen(previous_default=before.default_entry),)


def _kernel_evidence(_: KernelRuns, observed: ObservedKernel) -> Words:
    return say("Linux {release} runs", release=observed.release)


def _proof_evidence(condition: GuestsProved, observed: ObservedProof) -> Words:
    if observed.good:
        return say(
            "guests run under Linux {release} as {user}", release=condition.release, user=condition.user
        )
    return say("only running guests under Linux {release} can show it", release=condition.release)


def _boot_changes(_: BootsNext, before: ObservedBoot, after: ObservedBoot) -> tuple[changes.Change, ...]:
    """The default is set first: a step that failed then has changed that alone."""
    unchosen = after.next_release in {None, before.next_release}
    if unchosen and after.default_release in {None, before.default_release}:
        return ()
    return (changes.BootChosen(previous_default=before.default_entry),)


@dataclass(frozen=True)
class _Kind:
    """How one kind of condition is judged. Any: each entry's functions take its own types."""

    observed: type[PlanModel]
    holds: Callable[[Any, Any], bool]
    evidence: Callable[[Any, Any], Words]
    changes: Callable[[Any, Any, Any], "tuple[changes.Change, ...]"] = lambda *_: ()


_KINDS: dict[str, _Kind] = {
    "package-lists-fresh": _Kind(ObservedLists, _lists_hold, _lists_evidence),
    "packages-installed": _Kind(
        ObservedPackages,
        lambda condition, observed: not missing_packages(condition, observed.installed),
        _packages_evidence,
        _packages_changes,
    ),
    "packages-absent": _Kind(
        ObservedPackages,
        lambda condition, observed: not observed.present.intersection(condition.names),
        _absent_packages_evidence,
    ),
    "file-holds": _Kind(ObservedFile, _file_holds, _file_evidence, _file_changes),
    "file-mentions": _Kind(ObservedFile, _mentions, _mention_evidence),
    "file-absent": _Kind(ObservedFile, lambda _, observed: not observed.exists, _absent_file_evidence),
    "group-exists": _Kind(
        ObservedGroup, lambda _, observed: observed.exists, _group_evidence, _group_changes
    ),
    "group-absent": _Kind(ObservedGroup, lambda _, observed: not observed.exists, _group_evidence),
    "user-in-group": _Kind(
        ObservedMembership,
        lambda condition, observed: condition.group in observed.groups,
        _membership_evidence,
        _membership_changes,
    ),
    "user-not-in-group": _Kind(
        ObservedMembership,
        lambda condition, observed: condition.group not in observed.groups,
        _membership_evidence,
    ),
    "module-loaded": _Kind(
        ObservedModule, lambda _, observed: observed.state != "absent", _module_evidence, _module_changes
    ),
    "module-unloaded": _Kind(
        ObservedModule, lambda _, observed: observed.state == "absent", _module_evidence
    ),
    "device-group": _Kind(
        ObservedDevice,
        lambda condition, observed: (observed.group, observed.mode) == (condition.group, condition.mode),
        _device_evidence,
        _device_changes,
    ),
    "device-acl-grants": _Kind(ObservedDeviceAccess, _access_holds, _access_evidence, _access_changes),
    "device-acl-without": _Kind(
        ObservedDeviceAccess, lambda _, observed: observed.entry is None, _access_evidence
    ),
    "product-made": _Kind(ObservedProduct, _product_holds, _product_evidence),
    "tree-installed": _Kind(ObservedTree, _tree_holds, _tree_evidence, _tree_changes),
    "tree-absent": _Kind(ObservedTree, lambda _, observed: observed.identity is None, _tree_evidence),
    "boots-next": _Kind(ObservedBoot, _boot_holds, _boot_evidence, _boot_changes),
    "boots-by-default": _Kind(
        ObservedBoot,
        lambda condition, observed: observed.default_release == condition.release,
        _default_boot_evidence,
        _default_boot_changes,
    ),
    "kernel-runs": _Kind(
        ObservedKernel, lambda condition, observed: observed.release == condition.release, _kernel_evidence
    ),
    "guests-proved": _Kind(ObservedProof, lambda _, observed: observed.good, _proof_evidence),
    "guest-ran-as": _Kind(ObservedGuest, lambda _, observed: observed.ran, _guest_evidence),
}
