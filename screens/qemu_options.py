"""QEMU options: what is installed beside it."""

from typing import get_args

from kvmwizard.answers import AnswerModel, QemuExtra, QemuOptionsAnswer
from kvmwizard.host.facts import Facts
from kvmwizard.words import Words, _, say
from screens.choice_page import ChoicePage
from screens.widgets.entries import Entry, Part, Sign

EXTRA_WORDS: dict[QemuExtra, tuple[Words, Words, Words]] = {
    "image-tools": (
        say("Image tools"),
        say("qemu-img: make and convert disk images"),
        say("Nearly everyone who runs guests makes disks for them."),
    ),
    "uefi-firmware": (
        say("UEFI firmware"),
        say("for guests that start by UEFI, as today's machines do"),
        say("For guests that want UEFI or Secure Boot, as Windows 11 does; others start without it."),
    ),
    "libvirt": (
        say("libvirt"),
        say("a service that manages guests: virsh, virt-manager"),
        say(
            "For guests that start with the machine and are managed from elsewhere; QEMU alone needs none "
            "of it."
        ),
    ),
}
"""Each extra's name, what it is, and whom it is for."""


class QemuOptionsPage(ChoicePage):
    """Extras of the distribution's package."""

    PAGE = "qemu_options"

    def asks(self) -> str:
        """The question."""
        return _("What shall be installed beside QEMU?")

    def choices(self, facts: Facts) -> tuple[Entry, ...]:  # noqa: ARG002  -- the extras are the same everywhere
        """A switch for each extra."""
        answer = self.current() or QemuOptionsAnswer()
        return tuple(extra_entry(extra, chosen=extra in answer.extras) for extra in EXTRA_WORDS)

    def current(self) -> QemuOptionsAnswer | None:
        """The extras chosen."""
        return self.state.answers.qemu_options

    def pressed(self, entry: Entry) -> AnswerModel | None:
        """Switch the extra."""
        answer = self.current()
        if answer is None:
            return None
        chosen = {*answer.extras} ^ {entry.id}
        extras: tuple[QemuExtra, ...] = tuple(extra for extra in get_args(QemuExtra) if extra in chosen)
        return QemuOptionsAnswer(extras=extras)


def extra_entry(extra: QemuExtra, *, chosen: bool) -> Entry:
    """The switch of one extra."""
    title, what, whom = EXTRA_WORDS[extra]
    return Entry(
        id=extra,
        sign=Sign.TICKED if chosen else Sign.UNTICKED,
        title=str(title),
        detail=str(what),
        explanation=(Part(_("What"), str(what)), Part(_("Good for"), str(whom))),
    )
