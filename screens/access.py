"""Access: who may use /dev/kvm."""

from kvmwizard.answers import AccessAnswer, AnswerModel
from kvmwizard.checks.device_access import Way, access_of
from kvmwizard.host.facts import Facts
from kvmwizard.host.kvm_device import DeviceNode
from kvmwizard.host.reading import known
from kvmwizard.host.users import UserFacts
from kvmwizard.words import Words, _, say
from screens.choice_page import ChoicePage
from screens.widgets.entries import Entry, Part, Sign

WAY_WORDS: dict[Way, Words] = {
    Way.ROOT: say("may use it, being root"),
    Way.OWNER: say("may use it, being its owner"),
    Way.LISTED_USER: say("may use it, by its access list"),
    Way.GROUP: say("may use it, by its group"),
    Way.EVERYONE: say("may use it, as everybody may"),
}


class AccessPage(ChoicePage):
    """The user, and whether also at once."""

    PAGE = "access"

    def asks(self) -> str:
        """The question."""
        return _("Who shall run guests?")

    def choices(self, facts: Facts) -> tuple[Entry, ...]:
        """The accounts, then the switch for at once."""
        answer = self.current()
        chosen = answer.user if answer is not None else ""
        accounts = known(facts.users.accounts, ())
        users = tuple(user_entry(account, facts, chosen=account.name == chosen) for account in accounts)
        return (*users, now_entry(chosen=answer is None or answer.now))

    def current(self) -> AccessAnswer | None:
        """The user chosen."""
        return self.state.answers.access

    def pressed(self, entry: Entry) -> AnswerModel | None:
        """Choose the user, or switch at once."""
        answer = self.current()
        if answer is None:
            return None
        if entry.id == "now":
            return answer.model_copy(update={"now": not answer.now})
        return answer.model_copy(update={"user": entry.id.removeprefix("user.")})


def holds_now(facts: Facts, account: UserFacts) -> Words:
    """What the account may do with /dev/kvm as things are."""
    node = facts.kvm.node
    if node is None:
        return say("there is no /dev/kvm yet")
    if not isinstance(node, DeviceNode):
        return say("cannot be told here")
    access = access_of(node, account)
    if access.allowed:
        return WAY_WORDS[access.way]
    return say("cannot be told here") if access.allowed is None else say("may not use /dev/kvm")


def will_hold(facts: Facts, account: UserFacts) -> Words:
    """What the plan changes for the account."""
    if account.id == 0:
        return say("Nothing needs to change for root.")
    group = known(facts.users.kvm_group, None)
    if group is None:
        return say("A group kvm is made, /dev/kvm is given to it, and {user} joins it.", user=account.name)
    if group in account.groups:
        return say("{user} is in the group {group} already, and stays.", user=account.name, group=group)
    return say("{user} joins the group {group}, to which /dev/kvm belongs.", user=account.name, group=group)


def user_entry(account: UserFacts, facts: Facts, *, chosen: bool) -> Entry:
    """An account to choose."""
    now = str(holds_now(facts, account))
    return Entry(
        id=f"user.{account.name}",
        sign=Sign.CHOSEN if chosen else Sign.UNCHOSEN,
        title=account.name,
        detail=now,
        explanation=(
            Part(
                _("Now"),
                _(
                    "{user}: {access}. Groups: {groups}.",
                    user=account.name,
                    access=now,
                    groups=", ".join(account.groups),
                ),
            ),
            Part(_("After"), str(will_hold(facts, account))),
            Part(
                _("Why"),
                _("Who may open /dev/kvm can run guests at the processor's own speed, without being root."),
            ),
        ),
    )


def now_entry(*, chosen: bool) -> Entry:
    """Also at once, without a new login."""
    return Entry(
        id="now",
        sign=Sign.TICKED if chosen else Sign.UNTICKED,
        title=_("Access at once"),
        detail=_("without logging in again"),
        explanation=(
            Part(
                _("What"),
                _(
                    "A group counts only from the next login on. Until then the device's access list lets "
                    "the user in."
                ),
            ),
            Part(_("Lasts"), _("Until the device is made anew, at the latest at the next restart.")),
        ),
    )
