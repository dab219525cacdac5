"""A page that asks: its list holds choices and switches, and its answer is checked before going on."""

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from kvmwizard.words import Words, _, say
from screens.page import Page
from screens.state import ANSWER_FIELDS, WizardState
from screens.widgets.entries import Entry, Sign
from screens.widgets.entry_list import EntryList

if TYPE_CHECKING:  # pydantic is read in after the first frame
    from kvmwizard.answers import AnswerModel
    from kvmwizard.host.facts import Facts


class ChoicePage(Page):
    """A page with an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "explain", _("Explain"), tooltip=_("Read all about the selected line")),
    ]

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._waited = False

    @abstractmethod
    def current(self) -> "AnswerModel | None":
        """The page's answer as it is; None while the machine is still being read."""

    @abstractmethod
    def pressed(self, entry: Entry) -> "AnswerModel | None":
        """The answer with this entry chosen or switched; None where it is no choice."""

    @abstractmethod
    def choices(self, facts: "Facts") -> tuple[Entry, ...]:
        """The list, for the machine as read."""

    def entries(self) -> tuple[Entry, ...]:
        """Nothing to choose from before the machine was read."""
        return () if self.state.machine is None else self.choices(self.state.machine.facts)

    def state_changed(self, select: str | None = None) -> None:
        """Once the machine is read, nobody need be told to wait for it."""
        if self._waited and self.state.machine is not None:
            self._waited = False
            self.show_notice("")
        super().state_changed(select)

    def question(self) -> str:
        """What is being waited for, while it is."""
        return (
            _("Reading this machine. This takes about a second.")
            if self.state.machine is None
            else self.asks()
        )

    @abstractmethod
    def asks(self) -> str:
        """The page's question."""

    def press_label(self) -> str:
        """Space chooses or switches what can be; of the rest it shows all of the explanation."""
        sign = self._selected_sign()
        if sign in (Sign.CHOSEN, Sign.UNCHOSEN):
            return _("Choose")
        return _("Switch") if sign in (Sign.TICKED, Sign.UNTICKED, Sign.NONE) else super().press_label()

    def next_label(self) -> str:
        """Enter takes what the cursor is on, where that is another choice."""
        return _("Take this") if self._selected_sign() is Sign.UNCHOSEN else super().next_label()

    @property
    def selected(self) -> Entry | None:
        """What the cursor is on; None while the page has no list yet."""
        return next((entries.selected for entries in self.query(EntryList)), None)

    def _selected_sign(self) -> Sign | None:
        return self.selected.sign if self.selected is not None else None

    def first_selected(self) -> str | None:
        """The cursor starts at what is chosen."""
        return next((entry.id for entry in self.entries() if entry.sign is Sign.CHOSEN), None)

    def press(self, entry: Entry) -> None:
        """Choose or switch; what is no choice shows its whole explanation."""
        answer = self.pressed(entry)
        if answer is None:
            super().press(entry)
        else:
            self.show_notice("")
            self.post_message(self.Edited(answer))

    def action_explain(self) -> None:
        """Space chooses here, so reading has a key of its own."""
        if self.selected is not None:
            self.explain_all(self.selected)

    async def action_next(self) -> None:
        """Take the choice that the cursor is on, keep the answer, and go on if this machine can do it."""
        selected = self.selected
        taken = self.pressed(selected) if selected is not None and selected.sign is Sign.UNCHOSEN else None
        answer = taken or self.current()
        self._waited = self.state.machine is None
        refusal = await asyncio.to_thread(self.refusal, answer)
        if refusal is not None or answer is None:
            self.show_notice(str(refusal))
            return
        self.show_notice("")
        self.post_message(self.Edited(answer))
        await super().action_next()

    def refusal(self, answer: "AnswerModel | None") -> Words | None:
        """Why one cannot go on with this answer; None where one can."""
        if answer is None or self.state.machine is None:
            return say("This machine is still being read. Wait a moment, then press Enter again.")
        from screens.planning import problems_of  # noqa: PLC0415  -- pydantic would hold the first frame up

        answers = self.state.with_answer(answer).answers
        field = ANSWER_FIELDS[type(answer).__name__]
        problems = problems_of(answers, self.state.machine.facts)
        return next((problem.words for problem in problems if problem.page == field), None)
