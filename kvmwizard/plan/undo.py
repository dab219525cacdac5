"""Makes the plan that takes a run back: what its journal says was changed, in reverse order."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan import changes
from kvmwizard.plan.access import ADDGROUP
from kvmwizard.plan.build_model import LISTS_OF_TREES, RemoveTree, TreeAbsent
from kvmwizard.plan.kernel import MODPROBE
from kvmwizard.plan.model import (
    Action,
    Condition,
    DeviceAclGrants,
    DeviceAclWithout,
    DeviceGroup,
    FileAbsent,
    FileHolds,
    GrantDeviceAcl,
    GroupAbsent,
    ModuleUnloaded,
    PackagesAbsent,
    Plan,
    RemoveEmptyGroup,
    RemoveFile,
    RevokeDeviceAcl,
    RunCommand,
    SetDeviceGroup,
    Step,
    UserNotInGroup,
    WriteFile,
)
from kvmwizard.plan.software import run_command
from kvmwizard.words import Words, say, say_many

PREFIX = "undo."
EXPECTED_SECONDS = {"packages-added": 30.0, "tree-added": 20.0}
GRUB_EDITENV = ("/usr/bin/grub-editenv", "/boot/grub/grubenv")
PLAIN_ENTRY = re.compile(r"[A-Za-z0-9_.+~>:/-]+")
"""Of the boot menu, by its ids; titles with spaces are left to who chose them."""
MAY_BE_IN_USE = {"packages-added", "module-inserted", "group-created"}
"""What somebody needs by now stays, and the rest is taken back all the same."""


def make_undo_plan(
    plan: Plan,
    changes_by_step: Mapping[str, tuple[str, ...]],
    running_release: str | None = None,
    *,
    run_id: str,
) -> Plan:
    """A plan that restores what each step found, for the steps that changed something.

    The kernel that runs is never removed, nor what was installed with it: dpkg would do so
    without a word (linux-check-removal(8) only warns where nobody can be asked).

    Args:
        plan: the plan that was carried out, wholly or in part.
        changes_by_step: the ledger of the run's journal: by step id, the JSON texts
            of `changes_between`.
        running_release: as `uname -r` says it.
        run_id: the run's.

    Raises:
        KeyError: the ledger names a step that the plan does not have.
        ValidationError: the ledger holds something that is no change.
    """
    unknown = set(changes_by_step) - {step.id for step in plan.steps}
    if unknown:
        raise KeyError(*sorted(unknown))
    kept = {
        step_id: stays
        for step_id, texts in changes_by_step.items()
        if (stays := _stays_with_kernel(texts, running_release)) is not None
    }
    changes_by_step = {step_id: texts for step_id, texts in changes_by_step.items() if step_id not in kept}
    undone = [step for step in reversed(plan.steps) if changes_by_step.get(step.id)]
    ids = {step.id for step in undone}
    steps = tuple(
        _undo_step(step, changes_by_step[step.id], _waited_for_by(plan, step.id, ids)) for step in undone
    )
    notes = (*kept.values(), *_lasting(plan, changes_by_step))
    return Plan(undoes=run_id, user=plan.user, qemu=plan.qemu, notes=notes, steps=steps)


def _stays_with_kernel(texts: Iterable[str], release: str | None) -> Words | None:
    """Why a step is not undone that brought the running kernel; None where it did not.

    Debian and its kind name a kernel's package after its release.
    """
    if release is None:
        return None
    found = [changes.parse_change(text) for text in texts]
    for change in found:
        if isinstance(change, changes.TreeAdded) and change.release == release:
            return say(
                "The kernel that runs now was built and installed by this run, so it stays. To remove it, "
                "start another kernel first, then purge the package {name} or, where there is no such "
                "package, delete the files that {path} lists.",
                name=change.name,
                path=f"{LISTS_OF_TREES}/{change.name}.json",
            )
    names = [name for each in found if isinstance(each, changes.PackagesAdded) for name in each.names]
    if not any(name.endswith(f"-{release}") for name in names):
        return None
    return say(
        "The kernel that runs now was installed by this run, so it stays, with all that came with it. "
        "To remove it, start another kernel first, then remove these packages: {packages}.",
        packages=", ".join(names),
    )


def _lasting(plan: Plan, step_ids: Collection[str]) -> tuple[Words, ...]:
    """What stays although it is undone, each said once."""
    notes: list[Words] = []
    for step in plan.steps:
        if step.id in step_ids and step.lasting is not None and step.lasting not in notes:
            notes.append(step.lasting)
    return tuple(notes)


def _waited_for_by(plan: Plan, step_id: str, ids: set[str]) -> tuple[str, ...]:
    """Who needed the step, directly or through others, must be undone before it."""
    waiting: set[str] = set()
    for step in plan.steps:  # in an order that respects their needs
        if step_id in step.needs or waiting & set(step.needs):
            waiting.add(step.id)
    return tuple(PREFIX + step.id for step in reversed(plan.steps) if step.id in waiting & ids)


def _undo_step(step: Step, texts: tuple[str, ...], needs: tuple[str, ...]) -> Step:
    # A step's later changes stand on its earlier ones.
    found = [changes.parse_change(text) for text in reversed(texts)]
    conditions: list[Condition] = []
    actions: list[Action] = []
    for change in found:
        condition, action = _RESTORERS[change.kind](change, step)
        conditions.extend(condition)
        actions.extend(action)
    return Step(
        id=PREFIX + step.id,
        title=_title(found[0]),
        needs=needs,
        root=True,
        uses=("packages",) if "packages" in step.uses else (),
        seconds=sum(EXPECTED_SECONDS.get(change.kind, 0.0) for change in found),
        conditions=tuple(conditions),
        actions=tuple(actions),
        required=not any(change.kind in MAY_BE_IN_USE for change in found),
    )


def _title(change: changes.Change) -> Words:
    if isinstance(change, changes.PackagesAdded):
        return say_many(
            "Remove the package that was installed",
            "Remove the {count} packages that were installed",
            len(change.names),
        )
    if isinstance(change, changes.FileWritten):
        if change.previous_text is None:
            return say("Remove {path}", path=change.path)
        return say("Write {path} as it was", path=change.path)
    if isinstance(change, changes.GroupCreated):
        return say("Remove the group {group}", group=change.group)
    if isinstance(change, changes.MemberAdded):
        return say("Take {user} out of the group {group}", user=change.user, group=change.group)
    if isinstance(change, changes.ModuleInserted):
        return say("Unload {module} and what was loaded with it", module=change.name)
    if isinstance(change, changes.TreeAdded):
        return say("Remove {name}", name=change.name)
    if isinstance(change, changes.BootChosen):
        return say("Let the boot loader start what it started before")
    if isinstance(change, changes.DeviceGiven):
        return say(
            "Give {device} back to the group {group}, mode {mode}",
            device=change.path,
            group=change.previous_group,
            mode=f"{change.previous_mode:04o}",
        )
    return say("Take {user} off the access list of {device}", user=change.user, device=change.path)


_Restored = tuple[tuple[Condition, ...], tuple[Action, ...]]


def _restore_packages(change: changes.PackagesAdded, _: Step) -> _Restored:
    manager = MANAGERS[change.manager]
    return (
        (PackagesAbsent(manager=change.manager, names=change.names),),
        tuple(map(run_command, manager.remove(change.names))),
    )


def _restore_file(change: changes.FileWritten, step: Step) -> _Restored:
    """Who was told of the new file (udev, the boot loader) is told again."""
    told = tuple(action for action in step.actions if isinstance(action, RunCommand))
    if change.previous_text is None or change.previous_mode is None:
        return (FileAbsent(path=change.path),), (RemoveFile(path=change.path), *told)
    previous = {"path": change.path, "text": change.previous_text, "mode": change.previous_mode}
    return (FileHolds.model_validate(previous),), (WriteFile.model_validate(previous), *told)


def _restore_group(change: changes.GroupCreated, _: Step) -> _Restored:
    return (GroupAbsent(group=change.group),), (RemoveEmptyGroup(group=change.group),)


def _restore_membership(change: changes.MemberAdded, step: Step) -> _Restored:
    busybox = any(isinstance(action, RunCommand) and action.argv[0] == ADDGROUP for action in step.actions)
    program = ("/usr/sbin/delgroup",) if busybox else ("/usr/bin/gpasswd", "--delete")
    return (
        (UserNotInGroup(user=change.user, group=change.group),),
        (RunCommand(argv=(*program, change.user, change.group)),),
    )


def _restore_module(change: changes.ModuleInserted, _: Step) -> _Restored:
    return (
        (ModuleUnloaded(name=change.name),),
        (RunCommand(argv=(MODPROBE, "-r", change.name)),),
    )


def _restore_device(change: changes.DeviceGiven, _: Step) -> _Restored:
    previous = {"path": change.path, "group": change.previous_group, "mode": change.previous_mode}
    return (DeviceGroup.model_validate(previous),), (SetDeviceGroup.model_validate(previous),)


def _restore_acl(change: changes.AclGranted, _: Step) -> _Restored:
    if change.previous is None:
        return (
            (DeviceAclWithout(path=change.path, user=change.user),),
            (RevokeDeviceAcl(path=change.path, user=change.user),),
        )
    return (
        (DeviceAclGrants(path=change.path, user=change.user, permissions=change.previous),),
        (GrantDeviceAcl(path=change.path, user=change.user, permissions=change.previous),),
    )


def _restore_tree(change: changes.TreeAdded, _: Step) -> _Restored:
    return (TreeAbsent(name=change.name),), (RemoveTree(name=change.name),)


def _restore_boot(change: changes.BootChosen, _: Step) -> _Restored:
    """No condition says that nothing is named for the next start, so this is always done."""
    default = change.previous_default
    restored = ("unset", "saved_entry")
    if default is not None and PLAIN_ENTRY.fullmatch(default) is not None:
        restored = ("set", f"saved_entry={default}")
    commands = ((*GRUB_EDITENV, "unset", "next_entry"), (*GRUB_EDITENV, *restored))
    return (), tuple(RunCommand(argv=argv) for argv in commands)


_RESTORERS: dict[str, Callable[[Any, Step], _Restored]] = {
    "packages-added": _restore_packages,
    "file-written": _restore_file,
    "group-created": _restore_group,
    "member-added": _restore_membership,
    "module-inserted": _restore_module,
    "device-given": _restore_device,
    "acl-granted": _restore_acl,
    "tree-added": _restore_tree,
    "boot-chosen": _restore_boot,
}
