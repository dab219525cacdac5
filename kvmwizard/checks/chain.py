"""The chain that a guest hangs from, and the one link that is broken.

Each link hangs from the one before it, so only the first broken one is a fault; the
checks of later links say which comes first instead of failing for the same reason.
"""

from dataclasses import dataclass
from enum import IntEnum

from kvmwizard.checks import evidence
from kvmwizard.checks.check import Check
from kvmwizard.checks.device_access import DeviceAccess, access_of, everyone_may_open, group_may_open
from kvmwizard.checks.results import CheckResult
from kvmwizard.host.facts import Facts
from kvmwizard.host.firmware import FirmwareLock
from kvmwizard.host.kvm_device import DeviceNode, GuestRun, OpenOutcome
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.reading import Unknown, known
from kvmwizard.host.users import UserFacts
from kvmwizard.words import say

HARDWARE_FLAGS = ("vmx", "svm")
BUSY_WORDS = ("EBUSY", "Device or resource busy", "resource busy")


class Link(IntEnum):
    """The links in the order in which they hang from each other."""

    PROCESSOR = 1
    FIRMWARE = 2
    MODULE = 3
    DEVICE = 4
    OTHER_HYPERVISOR = 5
    OPENING = 6
    ACCESS = 7
    VERSION = 8
    GUEST = 9


COMES_FIRST = {
    Link.PROCESSOR: say("The processor's virtualization comes first."),
    Link.FIRMWARE: say("The firmware's setting comes first."),
    Link.MODULE: say("The kernel's KVM module comes first."),
    Link.DEVICE: say("The device /dev/kvm comes first."),
    Link.OTHER_HYPERVISOR: say("The other hypervisor comes first."),
    Link.OPENING: say("Opening /dev/kvm comes first."),
    Link.ACCESS: say("Permission to open /dev/kvm comes first."),
    Link.VERSION: say("The version of the KVM interface comes first."),
    Link.GUEST: say("The guest that does not run comes first."),
}


@dataclass(frozen=True)
class Situation:
    """A machine, whom its guests are for, and the link that is broken, if any."""

    facts: Facts
    user: str
    account: UserFacts | None
    """None where the user is not among the accounts that were read."""
    stored: DeviceAccess | None
    """By the node's mode and list and the account's stored groups; None where either is unknown."""
    may_open: bool | None
    """Whether the user may open /dev/kvm now; None where that is not known."""
    broken: Link | None

    def waits_for(self, link: Link, check: Check) -> CheckResult | None:
        """The result of a check whose link hangs from a broken one; None where none is broken."""
        if self.broken is not None and self.broken < link:
            return check.not_applicable(COMES_FIRST[self.broken])
        return None


def whom_guests_are_for(facts: Facts, user: str | None) -> str:
    """The user that was named, else the person that `facts` name, else root."""
    return user or facts.users.person or "root"


def situation_of(facts: Facts, user: str | None) -> Situation:
    """What holds for `user`, by default the person that `facts` name."""
    name = whom_guests_are_for(facts, user)
    account = facts.users.account(name)
    node = facts.kvm.node
    stored = access_of(node, account) if isinstance(node, DeviceNode) and account else None
    may_open = _may_open(facts, name, stored)
    return Situation(
        facts=facts,
        user=name,
        account=account,
        stored=stored,
        may_open=may_open,
        broken=broken_link(facts, may_open=may_open),
    )


def broken_link(facts: Facts, *, may_open: bool | None) -> Link | None:
    """The first link that is broken, by the strongest evidence there is."""
    if evidence.guest_ran(facts):
        return Link.ACCESS if may_open is False else None
    if evidence.device_answers(facts):
        return _link_behind_open_device(facts, may_open=may_open)
    if held_by_another(facts):
        return Link.OTHER_HYPERVISOR
    if not evidence.driver_stands(facts):
        return _link_before_device(facts)
    if evidence.node_exists(facts) is False:
        return Link.DEVICE
    if facts.kvm.opened is OpenOutcome.FAILED or refused_in_spite_of_permission(facts):
        return Link.OPENING
    return Link.ACCESS if may_open is False else None


def held_by_another(facts: Facts) -> bool:
    """Whether something else holds the virtualization extension (EBUSY)."""
    if facts.kvm.opened is OpenOutcome.BUSY:
        return True
    guest = facts.kvm.guest
    problem = (guest.problem or "") if isinstance(guest, GuestRun) else ""
    return any(word in problem for word in BUSY_WORDS)


def refused_in_spite_of_permission(facts: Facts) -> bool:
    """Whether the caller was refused although mode, groups and list let it open the device.

    That is the work of a container's device rules or of SELinux and its like.
    """
    node = facts.kvm.node
    if facts.kvm.opened is not OpenOutcome.NOT_PERMITTED or not isinstance(node, DeviceNode):
        return False
    if facts.users.caller == "root":
        return True
    if node.acl:
        return False
    in_group = node.group_id in known(facts.users.effective_groups, ())
    return group_may_open(node) if in_group else everyone_may_open(node)


def flags_on_some(facts: Facts) -> bool:
    """Whether only some of the processors show the extension."""
    return any(flag in known(facts.processor.flags_of_some, ()) for flag in HARDWARE_FLAGS)


def no_extension(facts: Facts) -> bool:
    """Whether the processors show no extension, and the kernel has no driver that needs none."""
    missing = facts.processor.extension is VirtualizationExtension.NONE
    return missing and not evidence.needs_no_extension(facts)


def _may_open(facts: Facts, user: str, stored: DeviceAccess | None) -> bool | None:
    if user == known(facts.users.caller, ""):
        if facts.kvm.opened is OpenOutcome.OPENED:
            return True
        if facts.kvm.opened is OpenOutcome.NOT_PERMITTED:
            return False
    if stored:
        return stored.allowed
    return False if no_such_account(facts, user) else None


def no_such_account(facts: Facts, user: str) -> bool:
    """Whether the accounts are known and this user is not among them."""
    accounts_known = not isinstance(facts.users.accounts, Unknown)
    return accounts_known and user != facts.users.caller and facts.users.account(user) is None


def _link_behind_open_device(facts: Facts, *, may_open: bool | None) -> Link | None:
    version = facts.kvm.api_version
    if isinstance(version, int) and version != evidence.API_VERSION:
        return Link.VERSION
    if held_by_another(facts):
        return Link.OTHER_HYPERVISOR
    if evidence.guest_failed(facts):
        return Link.GUEST
    return Link.ACCESS if may_open is False else None


def _link_before_device(facts: Facts) -> Link | None:
    """Why no driver stands behind the device."""
    firmware_off = facts.firmware.virtualization is FirmwareLock.DISABLED
    if no_extension(facts) and (evidence.above(facts) or not firmware_off):
        return Link.PROCESSOR
    if firmware_off:
        return Link.FIRMWARE
    if evidence.container(facts) and not evidence.node_exists(facts):
        return Link.DEVICE
    module = evidence.driver(facts)
    if module is None or isinstance(module.state, Unknown):
        return Link.DEVICE if evidence.node_exists(facts) is False else None
    return Link.MODULE
