"""Welcome: what this is, and which way in."""

import asyncio
from typing import TYPE_CHECKING

from kvmwizard.words import Words, _, say
from screens.choice_page import ChoicePage
from screens.page import Page
from screens.widgets.entries import Entry, Part, Sign
from screens.widgets.entry_list import EntryList

if TYPE_CHECKING:  # pydantic is read in after the first frame
    from kvmwizard.answers import AnswerModel
    from kvmwizard.host.facts import Facts
    from kvmwizard.session import Way

WAYS: "tuple[Way, ...]" = ("packages", "source", "book")


class WelcomePage(ChoicePage):
    """The first page."""

    PAGE = "welcome"

    def question(self) -> str:
        """What the wizard does, and what it does not do unasked."""
        return _(
            "kvmwizard takes this machine to a host where QEMU guests run with KVM, and proves it by "
            "running one. Nothing is changed before you have seen every step and agreed."
        )

    asks = question

    def entries(self) -> tuple[Entry, ...]:
        """The ways in need no facts."""
        chosen = self._chosen()
        return tuple(way_entry(way, chosen=way == chosen) for way in WAYS)

    def choices(self, facts: "Facts") -> tuple[Entry, ...]:  # noqa: ARG002  -- the ways in need no facts
        """The ways in."""
        return self.entries()

    def _chosen(self) -> "Way":
        """The way in that was taken; packages until the session is loaded."""
        answer = self.state.session.answers.welcome if self.state.opened else None
        return answer.route if answer is not None else "packages"

    def current(self) -> "AnswerModel":
        """The way chosen."""
        from kvmwizard.answers import WelcomeAnswer  # noqa: PLC0415  -- pydantic would hold the first frame up

        return WelcomeAnswer(route=self._chosen())

    def pressed(self, entry: Entry) -> "AnswerModel | None":  # noqa: ARG002  -- another way is taken by `press`
        """A way in is more than this page's answer: it brings its own kernel and QEMU."""
        return None

    def press(self, entry: Entry) -> None:
        """Take this way in."""
        self._take(entry, then_next=False)

    async def action_next(self) -> None:
        """Take the way in that the cursor is on, and go on."""
        selected = self.query_one(EntryList).selected
        if selected is not None and selected.sign is Sign.UNCHOSEN:
            self._take(selected, then_next=True)
        else:
            self.post_message(self.Edited(self.current()))
            await Page.action_next(self)

    def _take(self, entry: Entry, *, then_next: bool) -> None:
        way = next(way for way in WAYS if way == entry.id)
        if way != "book" or way == self._chosen():
            self._go(way, then_next=then_next)
        elif self.state.machine is None:
            self._waited = True
            self.show_notice(_("This machine is still being read. Wait a moment, then press Enter again."))
        else:
            self.run_worker(self._ask_for_the_book(then_next=then_next), group="book", exclusive=True)

    def _go(self, way: "Way", *, then_next: bool) -> None:
        self.show_notice("")
        self.post_message(self.WayChosen(way))
        if then_next:
            self.post_message(self.Turned(self, "next"))

    async def _ask_for_the_book(self, *, then_next: bool) -> None:
        """The book's way answers many pages at once, so what it means is said first."""
        from screens.dialogs import Question  # noqa: PLC0415  -- first used long after the first frame

        machine = self.state.machine
        if machine is None:
            return
        notes = await asyncio.to_thread(needs_of_the_book, machine.facts)
        kept = (KEPT_WORDS,) if self._has_answers() else ()
        question = Question(
            _("As in the book means Linux 4.8.5 and QEMU 2.7.0, built here. Fill in the pages for that?"),
            no=_("No, leave my answers as they are"),
            yes=_("Yes, as in the book"),
            details=tuple(map(str, (*kept, *notes))),
        )

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._go("book", then_next=then_next)

        self.app.push_screen(question, answered)

    def _has_answers(self) -> bool:
        from screens.ways import answered_on_the_way  # noqa: PLC0415  -- pydantic would hold the first frame up

        return answered_on_the_way(self.state.session)

    def refusal(self, answer: "AnswerModel | None") -> Words | None:  # noqa: ARG002  -- a way in is always open
        """One can always go on from here."""
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no page before the first."""
        return action != "back" and super().check_action(action, parameters)


KEPT_WORDS = say(
    "What you have answered about kernel and QEMU is kept: it is there again when you choose that way again."
)


def needs_of_the_book(facts: "Facts") -> tuple[Words, ...]:
    """What Linux 4.8.5 and QEMU 2.7.0 need on this machine; for a worker thread."""
    from kvmwizard.catalog.book import book_notes  # noqa: PLC0415  -- only for the book's way

    return book_notes(facts)


def way_entry(way: "Way", *, chosen: bool) -> Entry:
    """One way in."""
    title, detail, *explanation = WAY_WORDS[way]
    labels = (_("What"), _("Time"), _("Undo"))
    return Entry(
        id=way,
        sign=Sign.CHOSEN if chosen else Sign.UNCHOSEN,
        title=str(title),
        detail=str(detail),
        explanation=tuple(Part(label, str(words)) for label, words in zip(labels, explanation, strict=True)),
    )


TAKEN_BACK = say("What is installed or changed can be taken back at the end.")
WAY_WORDS: "dict[Way, tuple[Words, ...]]" = {
    "packages": (
        say("Packages"),
        say("The distribution's own kernel and QEMU"),
        say("Installs what your distribution tests and keeps secure."),
        say("A few minutes, most of them downloading."),
        TAKEN_BACK,
    ),
    "source": (
        say("From source"),
        say("Any Linux and QEMU, built on this machine"),
        say(
            "You choose versions; they are fetched, verified and built, never as root, and the kernel must "
            "boot as a guest before it is installed. Kernel or QEMU can still come as a package."
        ),
        say("From a quarter of an hour to hours, by the versions and the processors."),
        TAKEN_BACK,
    ),
    "book": (
        say("As in the book"),
        say("Linux 4.8.5 and QEMU 2.7.0 of 2016, built here"),
        say(
            "For following a book of that time. Old versions need help on a new system, and get no "
            "security fixes; what this machine needs for them is said before you agree."
        ),
        say("About as long as other versions from source."),
        TAKEN_BACK,
    ),
}
"""Each way's title, what it is, and what explains it."""
