"""Looks at the world for a condition, as whoever runs this; changes nothing."""

import os
import pwd
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvmwizard.checks.device_access import everyone_may_open, owner_may_open
from kvmwizard.host.accounts import Accounts
from kvmwizard.host.host import Host
from kvmwizard.host.identity import stored_identity
from kvmwizard.host.kernel import read_kernel, running_release
from kvmwizard.host.kvm_device import DeviceNode, read_device_node
from kvmwizard.host.modules import MODULES, ModuleState, read_modules
from kvmwizard.host.reading import CommandOutput
from kvmwizard.packages.managers import MANAGERS
from kvmwizard.packages.protocol import PackageLists, PackageManager
from kvmwizard.plan import model
from kvmwizard.plan.base import PlanModel
from kvmwizard.plan.build_model import (
    LISTS_OF_TREES,
    BootsByDefault,
    BootsNext,
    ProductMade,
    TreeAbsent,
    TreeInstalled,
)
from kvmwizard.plan.conditions import evidence, holds, missing_packages
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
from kvmwizard.product import read_stamp
from kvmwizard.run import trees
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.workers import told_words
from kvmwizard.words import Words, say, say_many

QUERY_SECONDS = 60.0
FILE_BYTES = 1024 * 1024
"""Far more than any file of ours has, and than GRUB writes for a hundred kernels."""


def observe(condition: model.Condition) -> str:
    """The JSON text of what is seen for this condition, as `plan.observed` has it.

    Raises RunRefused where it cannot be seen at all: not seen is never taken for not there.
    """
    return _LOOK[condition.kind](condition).model_dump_json()


def plan_evidence(plan: model.Plan) -> dict[str, Words]:
    """What shows that a step has nothing to do, for every step of which all conditions hold already.

    A step that cannot be looked at is left out: carrying it out will say why.
    """
    found: dict[str, Words] = {}
    for step in plan.steps:
        try:
            observed = tuple(observe(condition) for condition in step.conditions)
        except RunRefused:
            continue
        if all_hold(step, observed):
            found[step.id] = step_evidence(step, observed)
    return found


def all_hold(step: model.Step, observed: tuple[str, ...]) -> bool:
    """Whether the step has nothing to do. A step without conditions always has."""
    return bool(step.conditions) and all(map(holds, step.conditions, observed))


def step_evidence(step: model.Step, observed: tuple[str, ...]) -> Words:
    """What shows it: the first condition's evidence, and how many more there are."""
    if not observed:
        return say("its commands succeeded")
    first = evidence(step.conditions[0], observed[0])
    if len(observed) == 1:
        return first
    return say_many(
        "{first}, and {count} more thing is as it shall be",
        "{first}, and {count} more things are as they shall be",
        len(observed) - 1,
        first=first,
    )


def _lists(condition: model.PackageListsFresh) -> ObservedLists:
    lists = MANAGERS[condition.manager].lists
    try:
        renewed = _when_renewed(lists)
    except OSError as error:
        raise RunRefused(
            _cannot_look(str(error.filename or lists.directory), error.strerror or str(error))
        ) from error
    return ObservedLists(
        # A clock that was set back must not make lists fresh for ever.
        age_seconds=abs(time.time() - renewed) if renewed is not None else None,
        missing=missing_packages(condition.wanted, _installed(condition.manager)),
    )


def _when_renewed(lists: PackageLists) -> float | None:
    """When the lists were last fetched; None where there are none. Raises OSError."""
    written = [_when_written(path) for path in Path(lists.directory).glob(lists.pattern)]
    times = [each for each in written if each is not None]
    if times and lists.stamp is not None:
        return _when_written(Path(lists.stamp))
    return max(times, default=None)


def _when_written(path: Path) -> float | None:
    """None where it is gone: the package manager puts new lists in the place of old ones at any time."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _packages(condition: model.PackagesInstalled | model.PackagesAbsent) -> ObservedPackages:
    manager = MANAGERS[condition.manager]
    said = _packages_said(manager)
    return ObservedPackages(
        installed=manager.parse_installed(said), unfinished=manager.parse_unfinished(said)
    )


def _installed(manager_name: str) -> dict[str, str]:
    manager = MANAGERS[manager_name]
    return manager.parse_installed(_packages_said(manager))


def _packages_said(manager: PackageManager) -> str:
    argv = manager.installed_query()
    said = Host().run(argv, QUERY_SECONDS)
    if isinstance(said, CommandOutput) and said.returncode == 0:
        return said.output
    raise RunRefused(
        say(
            "Which packages are installed could not be learnt: {command} did not answer. "
            "Run it by hand to see why, then retry.",
            command=" ".join(argv),
        )
    )


def _file(condition: model.FileHolds | model.FileMentions | model.FileAbsent) -> ObservedFile:
    path = Path(condition.path)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ObservedFile(exists=False)
    except OSError as error:
        raise RunRefused(_cannot_look(str(path), error.strerror or str(error))) from error
    text = _text(path) if stat.S_ISREG(status.st_mode) else None
    return ObservedFile(exists=True, text=text, mode=stat.S_IMODE(status.st_mode), owner_id=status.st_uid)


def _mention(condition: model.FileMentions) -> ObservedFile:
    """Of a file that is not ours, the lines asked for alone go into the journal."""
    seen = _file(condition)
    if seen.text is None:
        return seen
    lines = [line for line in seen.text.splitlines() if condition.text in line]
    return seen.model_copy(update={"text": "\n".join(lines)})


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return None


def _group(condition: model.GroupExists | model.GroupAbsent) -> ObservedGroup:
    groups = Accounts(Host()).groups
    if not isinstance(groups, tuple):
        raise RunRefused(
            say("The groups cannot be read: {error}. Mend that, then retry.", error=groups.detail)
        )
    for group in groups:
        if group.name == condition.group:
            return ObservedGroup(exists=True, id=group.id, members=group.members)
    return ObservedGroup(exists=False)


def _membership(condition: model.UserInGroup | model.UserNotInGroup) -> ObservedMembership:
    identity = stored_identity(condition.user)
    accounts = Accounts(Host())
    names = (accounts.group_name(number) for number in (identity.group_ids if identity else ()))
    return ObservedMembership(groups=tuple(name for name in names if name is not None))


def _module(condition: model.ModuleLoaded | model.ModuleUnloaded) -> ObservedModule:
    host = Host()
    if condition.name not in MODULES:
        return ObservedModule(state="loaded" if Path("/sys/module", condition.name).exists() else "absent")
    state = read_modules(host, read_kernel(host, ())).modules[condition.name].state
    if state is ModuleState.LOADED:
        return ObservedModule(state="loaded")
    return ObservedModule(state="built-in" if state is ModuleState.BUILT_IN else "absent")


def _node(path: str) -> DeviceNode | None:
    host = Host()
    node = read_device_node(host, Accounts(host), path)
    if node is None or isinstance(node, DeviceNode):
        return node
    raise RunRefused(_cannot_look(path, node.detail))


def _device(condition: model.DeviceGroup) -> ObservedDevice:
    node = _node(condition.path)
    if node is None:
        return ObservedDevice(exists=False)
    return ObservedDevice(exists=True, group=node.group or str(node.group_id), mode=node.mode)


def _device_access(condition: model.DeviceAclGrants | model.DeviceAclWithout) -> ObservedDeviceAccess:
    node = _node(condition.path)
    if node is None:
        return ObservedDeviceAccess(exists=False)
    try:
        user = pwd.getpwnam(condition.user).pw_uid
    except KeyError:
        return ObservedDeviceAccess(exists=True)
    entry = None
    for each in node.acl if isinstance(node.acl, tuple) else ():
        if each.kind == "user" and each.id == user:
            entry = each.permissions
    anyway = entry is None and _may_anyway(condition.path, node, user)
    return ObservedDeviceAccess(exists=True, entry=entry, anyway=anyway)


def _may_anyway(path: str, node: DeviceNode, user: int) -> bool:
    """As owner, as everybody, as root, or by what this very session may do where it is the user's."""
    if user == 0 or everyone_may_open(node) or (user == node.owner_id and owner_may_open(node)):
        return True
    return os.geteuid() == user and os.access(path, os.R_OK | os.W_OK, effective_ids=True)


def _product(condition: ProductMade) -> ObservedProduct:
    try:
        stamp = read_stamp(Path(condition.path))
    except OSError as error:
        raise RunRefused(_cannot_look(condition.path, error.strerror or str(error))) from error
    if stamp is None:
        return ObservedProduct()
    return ObservedProduct(identity=stamp.identity, whole=stamp.whole, told=told_words(stamp.told))


def _tree(condition: TreeInstalled | TreeAbsent) -> ObservedTree:
    try:
        return trees.tree(condition)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunRefused(_cannot_look(LISTS_OF_TREES, str(error))) from error


def _boot(_: BootsNext | BootsByDefault) -> ObservedBoot:
    try:
        return trees.boot()
    except OSError as error:
        raise RunRefused(_cannot_look(str(trees.GRUB_ENVIRONMENT), error.strerror or str(error))) from error


def _cannot_look(path: str, error: str) -> Words:
    return say("{path} cannot be looked at: {error}. Mend that, then retry.", path=path, error=error)


_LOOK: dict[str, Callable[[Any], PlanModel]] = {
    "package-lists-fresh": _lists,
    "packages-installed": _packages,
    "packages-absent": _packages,
    "file-holds": _file,
    "file-mentions": _mention,
    "file-absent": _file,
    "group-exists": _group,
    "group-absent": _group,
    "user-in-group": _membership,
    "user-not-in-group": _membership,
    "module-loaded": _module,
    "module-unloaded": _module,
    "device-group": _device,
    "device-acl-grants": _device_access,
    "device-acl-without": _device_access,
    "product-made": _product,
    "tree-installed": _tree,
    "tree-absent": _tree,
    "boots-next": _boot,
    "boots-by-default": _boot,
    "kernel-runs": lambda _: ObservedKernel(release=running_release()),
    "guests-proved": lambda _: ObservedProof(),
    "guest-ran-as": lambda _: ObservedGuest(ran=False),
}
"""Any: each function takes the conditions of its own kinds."""
