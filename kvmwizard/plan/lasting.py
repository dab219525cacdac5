"""What undo cannot take back, step by step: said at the review, before it is done."""

from collections.abc import Callable, Iterable
from typing import Any

from kvmwizard.plan import model
from kvmwizard.plan.build_model import TreeInstalled
from kvmwizard.plan.kernel import GRUB_FILE, OPTIONS_FILE
from kvmwizard.words import Words, say

LISTS_STAY = say("The refreshed package lists stay. They change nothing but what is offered.")
PACKAGES_STAY = say(
    "Configuration files of removed packages stay, packages that were brought up to date stay so, "
    "and what other packages need stays installed."
)
BOOT_STAYS = say(
    "The default that the boot loader remembered comes back, unless only root may read it or its title "
    "has spaces: then the first entry of its menu is the default."
)
RESTART_STAYS = say("A restart cannot be taken back: after an undo, restart once more.")
KERNEL_NAMES = "linux-image-"
"""What the names of installed kernels begin with."""
PRODUCT_STAYS = say(
    "No undo deletes what is downloaded and built. It stays in its folder, to build faster the next time; "
    "delete that whenever you want the room back."
)


def with_lasting(steps: Iterable[model.Step]) -> tuple[model.Step, ...]:
    """The steps, each with what undo cannot take back of it."""
    return tuple(step.model_copy(update={"lasting": lasting_of(step)}) for step in steps)


def lasting_of(step: model.Step) -> Words | None:
    """What the first of the step's conditions that has something lasting says; None where all goes back.

    Undo is made of what became of the conditions (`plan.conditions`), so that they tell what it leaves.
    """
    for condition in step.conditions:
        words = LASTING[condition.kind](condition)
        if words is not None:
            return words
    return None


def _nothing(_: model.Condition) -> None:
    """It goes back as it was, or nothing was changed."""


def _packages(condition: model.PackagesInstalled) -> Words:
    """Of a kernel, a version is asked for: it may be installed already, in an older one."""
    if not condition.at_least:
        return PACKAGES_STAY
    return say(
        "A kernel that runs is not removed: start another one before the undo. Where {package} was "
        "installed before, its new version stays, and so does the kernel that came with it.",
        package=", ".join(condition.at_least),
    )


def _file(condition: model.FileHolds) -> Words | None:
    if condition.path == OPTIONS_FILE:
        return say("A module that is loaded keeps its options until the next restart.")
    if condition.path == GRUB_FILE:
        return say("After a restart, the IOMMU stays on until the restart after the undo.")
    return None


def _group(_: model.GroupExists) -> Words:
    return say("The group stays while anybody else is in it, or has it as their own.")


def _membership(condition: model.UserInGroup) -> Words:
    return say(
        "A session of {user} that is logged in keeps the group until it logs out.", user=condition.user
    )


def _module(_: model.ModuleLoaded) -> Words:
    return say("A module that is in use stays loaded until the next restart.")


def _device(condition: model.DeviceGroup | model.DeviceAclGrants) -> Words:
    return say("A program that has {device} open keeps it until it ends.", device=condition.path)


def _tree(condition: TreeInstalled) -> Words:
    if condition.name.startswith(KERNEL_NAMES):
        return say(
            "A kernel that runs is not removed: start another one before the undo. An earlier build with "
            "the name {name} does not come back, and files that somebody has changed since stay.",
            name=condition.name,
        )
    return say(
        "An earlier build with the name {name} does not come back, and files that somebody has changed "
        "since stay.",
        name=condition.name,
    )


LASTING: dict[str, Callable[[Any], Words | None]] = {
    "package-lists-fresh": lambda _: LISTS_STAY,
    "packages-installed": _packages,
    "packages-absent": _nothing,
    "file-holds": _file,
    "file-mentions": _nothing,
    "file-absent": _nothing,
    "group-exists": _group,
    "group-absent": _nothing,
    "user-in-group": _membership,
    "user-not-in-group": _nothing,
    "module-loaded": _module,
    "module-unloaded": _nothing,
    "device-group": _device,
    "device-acl-grants": _device,
    "device-acl-without": _nothing,
    "guest-ran-as": _nothing,
    "product-made": lambda _: PRODUCT_STAYS,
    "tree-installed": _tree,
    "tree-absent": _nothing,
    "boots-next": lambda _: BOOT_STAYS,
    "boots-by-default": lambda _: BOOT_STAYS,
    "kernel-runs": lambda _: RESTART_STAYS,
    "guests-proved": _nothing,
}
"""By the condition's kind. Any: each function takes the conditions of its own kind."""
