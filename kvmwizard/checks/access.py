"""Whether the user whom guests are for may open /dev/kvm, now and after the next login."""

from kvmwizard.checks.chain import Link, Situation, no_such_account
from kvmwizard.checks.check import Check
from kvmwizard.checks.device_access import Way, access_of, group_may_open, is_member, without_list
from kvmwizard.checks.results import Cause, CheckResult, Mend
from kvmwizard.host.kvm_device import DeviceNode
from kvmwizard.host.reading import Unknown, known
from kvmwizard.words import Words, say

USER = Check(
    "access.user",
    say("Permission for /dev/kvm"),
    say("QEMU runs as an ordinary user, and that user must be let into /dev/kvm."),
)
NEXT_LOGIN = Check(
    "access.next_login",
    say("Permission at next login"),
    say("Groups count from the next login on, and an access control list lasts only until a restart."),
)


def check_access(situation: Situation) -> tuple[CheckResult, ...]:
    """Now, then later."""
    return _now(situation), _next_login(situation)


def _now(situation: Situation) -> CheckResult:
    facts = situation.facts
    if situation.broken is Link.ACCESS:
        return _refused(situation)
    if waits := situation.waits_for(Link.ACCESS, USER):
        return waits
    if situation.may_open:
        return USER.passed(_allowed(situation))
    if isinstance(facts.kvm.node, Unknown):
        return USER.unknown(facts.kvm.node)
    if isinstance(facts.users.accounts, Unknown):
        return USER.unknown(facts.users.accounts)
    return USER.undecided(
        say("Mode and lists do not decide whether {user} may open it.", user=situation.user),
        say("Run `kvmwizard check` as {user} to learn it.", user=situation.user),
    )


def _allowed(situation: Situation) -> Words:
    """By which way the user may open the device."""
    user = situation.user
    node = situation.facts.kvm.node
    group = node.group if isinstance(node, DeviceNode) else None
    way = situation.stored.way if situation.stored and situation.stored.allowed else None
    if way is Way.ROOT:
        return say("root may open it, and needs no group for it.")
    if way is Way.OWNER:
        return say("{user} owns it.", user=user)
    if way is Way.LISTED_USER:
        return say("{user} may open it by the device's access control list.", user=user)
    if way is Way.GROUP and group and user == known(situation.facts.users.caller, ""):
        return say("{user} may open it by the group {group}.", user=user, group=group)
    if way is Way.GROUP and group:
        return say(
            "{user} may open it by the group {group}; a session begun before {user} joined it must "
            "log in again.",
            user=user,
            group=group,
        )
    if way is Way.EVERYONE:
        return say("Every user may open it.")
    return say("{user} may open it in this session.", user=user)


def _refused(situation: Situation) -> CheckResult:
    facts = situation.facts
    user = situation.user
    if no_such_account(facts, user):
        return USER.failed(
            say("{user} is none of the accounts that people log in with here.", user=user),
            say("Name an account of this machine, or make this one first."),
        )
    node = facts.kvm.node
    group = node.group if isinstance(node, DeviceNode) else None
    if situation.stored and situation.stored.allowed and group:
        return USER.failed(
            say(
                "{user} is in the group {group}, but this session began before that counted.",
                user=user,
                group=group,
            ),
            say("Log out and in again, or run `newgrp {group}` in this terminal.", group=group),
            Cause.PERMISSION,
            Mend.GRANT_ACCESS,
        )
    return USER.failed(
        _not_allowed(situation, node), _grant_remedy(situation, node), Cause.PERMISSION, Mend.GRANT_ACCESS
    )


def _not_allowed(situation: Situation, node: Unknown | DeviceNode | None) -> Words:
    if not isinstance(node, DeviceNode):
        return say("{user} may not open it.", user=situation.user)
    return say(
        "{user} may not open it: mode {mode}, owner {owner}, group {group}.",
        user=situation.user,
        mode=f"{node.mode:04o}",
        owner=node.owner or str(node.owner_id),
        group=node.group or str(node.group_id),
    )


def _grant_remedy(situation: Situation, node: Unknown | DeviceNode | None) -> Words:
    """Joining the device's group helps only where it is a group of its own that may open it.

    Whom the device's list or its owner's bits shut out, they shut out of its group too.
    """
    by_class = situation.stored is not None and situation.stored.way in (Way.OWNER, Way.LISTED_USER)
    may_join = isinstance(node, DeviceNode) and node.group_id != 0 and group_may_open(node)
    if isinstance(node, DeviceNode) and node.group and may_join and not by_class:
        return say(
            "Run `usermod -aG {group} {user}` as root and log in again; the wizard's plan does it, and gives "
            "access at once.",
            group=node.group,
            user=situation.user,
        )
    return say(
        "Run `setfacl -m u:{user}:rw /dev/kvm` as root for now; the wizard's plan makes it last, with a "
        "group and a udev rule.",
        user=situation.user,
    )


def _next_login(situation: Situation) -> CheckResult:
    facts = situation.facts
    node = facts.kvm.node
    if situation.account is None:
        return _without_account(situation)
    if not isinstance(node, DeviceNode):
        return _without_node(situation)
    if isinstance(node.acl, Unknown) and not situation.may_open:
        return NEXT_LOGIN.unknown(node.acl)
    lasting = access_of(without_list(node), situation.account)
    if lasting.allowed:
        return NEXT_LOGIN.passed(_lasting(situation, node, lasting.way))
    if situation.broken is not None:
        return NEXT_LOGIN.not_applicable(
            say("The next login alone changes nothing; see the permission before.")
        )
    return NEXT_LOGIN.warned(
        say(
            "{user} may open it now, but not by any group: after a restart, or over SSH, that can be gone.",
            user=situation.user,
        ),
        _lasting_remedy(situation, node),
        Cause.PERMISSION,
        Mend.GRANT_ACCESS,
    )


def _lasting(situation: Situation, node: DeviceNode, way: Way) -> Words:
    if way is Way.GROUP and node.group:
        return say("It holds: {user} is stored in the group {group}.", user=situation.user, group=node.group)
    return say("It holds: no group is needed.")


def _lasting_remedy(situation: Situation, node: DeviceNode) -> Words:
    if node.group and node.group_id != 0:
        return say(
            "Run `usermod -aG {group} {user}` as root; the wizard's plan can do it.",
            group=node.group,
            user=situation.user,
        )
    return say("Let the wizard's plan give the device a group and a udev rule.")


def _without_account(situation: Situation) -> CheckResult:
    accounts = situation.facts.users.accounts
    if isinstance(accounts, Unknown):
        return NEXT_LOGIN.unknown(accounts)
    return NEXT_LOGIN.not_applicable(
        say("{user} is none of the accounts that people log in with here.", user=situation.user)
    )


def _without_node(situation: Situation) -> CheckResult:
    users = situation.facts.users
    group = known(users.kvm_group, None)
    if situation.account and group and is_member(situation.account, group, known(users.kvm_group_id, None)):
        return NEXT_LOGIN.passed(
            say("{user} is stored in the group {group}.", user=situation.user, group=group)
        )
    return NEXT_LOGIN.not_applicable(say("The device /dev/kvm comes first."))
