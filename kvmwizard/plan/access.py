"""The steps that let the user at /dev/kvm: a group, a rule, the device itself, and the proof."""

from dataclasses import dataclass

from kvmwizard.answers import AccessAnswer
from kvmwizard.checks.device_access import everyone_may_open, group_may_open
from kvmwizard.host.facts import Facts
from kvmwizard.host.guest import GUEST_ARCHITECTURE, guest_program_sha256
from kvmwizard.host.kvm_device import KVM_DEVICE, DeviceNode
from kvmwizard.host.reading import known
from kvmwizard.host.users import KVM_GROUP
from kvmwizard.packages.distributions import Family, expected, family_of
from kvmwizard.plan.model import (
    DeviceAclGrants,
    DeviceGroup,
    FileHolds,
    GrantDeviceAcl,
    GroupExists,
    GuestRanAs,
    RunCommand,
    RunGuestAs,
    SetDeviceGroup,
    Step,
    UserInGroup,
    WriteFile,
)
from kvmwizard.words import Words, say

RULE_FILE = "/etc/udev/rules.d/99-kvmwizard.rules"
"""After the vendor's rules, so that ours counts (udev(7))."""
RULE_MODE = 0o644
GROUP_MODE = 0o660
UDEVADM = "/usr/bin/udevadm"
ADDGROUP = "/usr/sbin/addgroup"
SETTLE_SECONDS = 10

BASE_GROUPS = 100
"""Groups of lower numbers are the distribution's own: sudo, disk, shadow (Debian policy, section 9.2.2)."""
POWERFUL_GROUPS = frozenset({"admin", "docker", "incus-admin", "libvirt", "lxd", "sudo", "wheel"})
"""Groups of higher numbers whose members are, or can make themselves, root."""

BUSYBOX_MANAGERS = {"apk"}
"""Families whose account tools are busybox's addgroup and delgroup."""


@dataclass(frozen=True)
class DeviceWish:
    """What is to become of the device; made from facts alone."""

    group: str
    new_group: bool
    mode: int
    change: bool
    """The node itself must get another group or mode, or will once it exists."""
    rule: bool
    """udev must be told, or it would make the device as it was."""


def access_steps(facts: Facts, answer: AccessAnswer, loads_modules: bool) -> tuple[Step, ...]:
    """All that applies; root needs nothing but the proof."""
    comes = device_comes(facts, loads_modules)
    steps: list[Step] = []
    if answer.user != "root" and not everybody_may(facts):
        wish = device_wish(facts)
        family = family_of(facts.distribution)
        if wish.new_group:
            steps.append(_group_step(wish.group, family))
        steps.append(_member_step(answer.user, wish.group, family))
        if wish.rule:
            steps.append(_rule_step(wish, facts.distribution.udev_running is True))
        if wish.change and comes:
            steps.append(_device_step(wish))
        if answer.now and comes:
            steps.append(_now_step(answer.user))
    if comes and facts.processor.architecture == GUEST_ARCHITECTURE:
        steps.append(_prove_step(answer.user))
    return tuple(steps)


def device_comes(facts: Facts, loads_modules: bool) -> bool:
    """Whether /dev/kvm is there, or will be once modules are loaded."""
    return loads_modules or facts.kvm.node is not None


def everybody_may(facts: Facts) -> bool:
    """Whether the device is open to every user, as Fedora has it."""
    node = facts.kvm.node
    return isinstance(node, DeviceNode) and everyone_may_open(node)


def device_wish(facts: Facts) -> DeviceWish:
    """The device's own group where it has one, else the group kvm, new where there is none."""
    node = facts.kvm.node
    own = _guests_group(node) if isinstance(node, DeviceNode) else None
    if isinstance(node, DeviceNode) and own is not None:
        if group_may_open(node):
            return DeviceWish(own, new_group=False, mode=node.mode, change=False, rule=False)
        return DeviceWish(own, new_group=False, mode=GROUP_MODE, change=True, rule=True)
    existing = known(facts.users.kvm_group, None)
    udev_knows = existing is not None and facts.distribution.udev_running is True
    node_missing = not isinstance(node, DeviceNode)
    return DeviceWish(
        existing or KVM_GROUP,
        new_group=existing is None,
        mode=GROUP_MODE,
        change=True,
        # systemd's own rule gives a new device to the group kvm where that exists.
        rule=not (node_missing and udev_knows),
    )


def _guests_group(node: DeviceNode) -> str | None:
    """The device's group, where people may be put into it; the root helper puts nobody into others."""
    powerful = node.group_id < BASE_GROUPS or node.group in POWERFUL_GROUPS
    return node.group if node.group == KVM_GROUP or not powerful else None


def access_notes(facts: Facts, answer: AccessAnswer, loads_modules: bool) -> tuple[Words, ...]:
    """What will hold, and when."""
    notes: list[Words] = []
    if not device_comes(facts, loads_modules):
        notes.append(
            say(
                "There is no {device}, and nothing in this plan brings it. The hardware check says why.",
                device=KVM_DEVICE,
            )
        )
    elif facts.processor.architecture != GUEST_ARCHITECTURE:
        notes.append(say("On this architecture the proof is left to QEMU: kvmwizard verify."))
    if answer.user == "root":
        notes.append(say("root may use {device} already.", device=KVM_DEVICE))
    elif everybody_may(facts):
        notes.append(say("Every user of this machine may use {device} already.", device=KVM_DEVICE))
    else:
        notes.extend(_group_notes(facts, answer, device_wish(facts)))
    return tuple(notes)


def _group_notes(facts: Facts, answer: AccessAnswer, wish: DeviceWish) -> list[Words]:
    notes: list[Words] = []
    account = facts.users.account(answer.user)
    if account is None or wish.group not in account.groups:
        if answer.now:
            sentence = say(
                "{user}'s new group counts from the next login. Until then an entry in the access list "
                "of {device} lets {user} use it; it lasts until the device is made anew.",
                user=answer.user,
                device=KVM_DEVICE,
            )
        else:
            sentence = say(
                "{user}'s new group counts from the next login: log out and in again before using {device}.",
                user=answer.user,
                device=KVM_DEVICE,
            )
        notes.append(sentence)
    if wish.change and facts.distribution.udev_running is not True:
        notes.append(
            say(
                "udev is not running here, so {device} gets its group and mode now, but goes back to what "
                "it was at the next start unless udev runs then.",
                device=KVM_DEVICE,
            )
        )
    return notes


def _group_step(group: str, family: Family | None) -> Step:
    if family is not None and family.manager in BUSYBOX_MANAGERS:
        argv: tuple[str, ...] = (ADDGROUP, "-S", group)
    else:
        number = family.group_id if family is not None and group == KVM_GROUP else None
        wanted = () if number is None else ("--gid", str(number))
        # With --force the system chooses another number where the wanted one is taken.
        argv = ("/usr/sbin/groupadd", "--system", "--force", *wanted, group)
    return Step(
        id="access.group",
        title=say("Create the group {group}", group=group),
        root=True,
        seconds=0,
        conditions=(GroupExists(group=group),),
        actions=(RunCommand(argv=argv),),
    )


def _member_step(user: str, group: str, family: Family | None) -> Step:
    busybox = family is not None and family.manager in BUSYBOX_MANAGERS
    argv = (ADDGROUP, user, group) if busybox else ("/usr/bin/gpasswd", "--add", user, group)
    return Step(
        id="access.member",
        title=say("Put {user} into the group {group}", user=user, group=group),
        needs=("access.group",),
        root=True,
        seconds=0,
        conditions=(UserInGroup(user=user, group=group),),
        actions=(RunCommand(argv=argv),),
    )


def _rule_step(wish: DeviceWish, udev_running: bool) -> Step:
    text = (
        "# Written by kvmwizard: members of the group may run guests.\n"
        f'KERNEL=="kvm", GROUP="{wish.group}", MODE="{wish.mode:04o}", OPTIONS+="static_node=kvm"\n'
    )
    told = (
        RunCommand(argv=(UDEVADM, "control", "--reload-rules")),
        RunCommand(argv=(UDEVADM, "trigger", "--name-match=kvm")),
        # What udev does to the device must be over before we give it away.
        RunCommand(argv=(UDEVADM, "settle", f"--timeout={SETTLE_SECONDS}")),
    )
    return Step(
        id="access.rule",
        title=say("Let udev give {device} to the group {group}", device=KVM_DEVICE, group=wish.group),
        needs=("access.group", "modules.load"),
        root=True,
        seconds=1 if udev_running else 0,
        conditions=(FileHolds(path=RULE_FILE, text=text, mode=RULE_MODE),),
        actions=(WriteFile(path=RULE_FILE, text=text, mode=RULE_MODE), *(told if udev_running else ())),
    )


def _device_step(wish: DeviceWish) -> Step:
    return Step(
        id="access.device",
        title=say(
            "Give {device} to the group {group}, mode {mode}",
            device=KVM_DEVICE,
            group=wish.group,
            mode=f"{wish.mode:04o}",
        ),
        needs=("access.group", "access.rule", "modules.load"),
        root=True,
        seconds=0,
        conditions=(DeviceGroup(path=KVM_DEVICE, group=wish.group, mode=wish.mode),),
        actions=(SetDeviceGroup(path=KVM_DEVICE, group=wish.group, mode=wish.mode),),
    )


def _now_step(user: str) -> Step:
    return Step(
        id="access.now",
        title=say("Let {user} use {device} at once, without a new login", user=user, device=KVM_DEVICE),
        needs=("access.rule", "access.device", "modules.load"),
        root=True,
        seconds=0,
        conditions=(DeviceAclGrants(path=KVM_DEVICE, user=user),),
        actions=(GrantDeviceAcl(path=KVM_DEVICE, user=user),),
        required=False,
    )


def _prove_step(user: str) -> Step:
    return Step(
        id="access.prove",
        title=say("Run a tiny guest as {user}", user=user),
        needs=("access.member", "access.device", "access.now", "modules.load"),
        root=True,
        uses=("processor",),
        seconds=expected("access.prove").seconds,
        conditions=(GuestRanAs(user=user),),
        actions=(RunGuestAs(user=user, program_sha256=guest_program_sha256()),),
    )
