"""What a second wizard of the same session offers: look on, try again, take over, or quit."""

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from kvmwizard.words import _
from screens.state import WizardState
from screens.widgets.dialog import Dialog, DialogText
from screens.widgets.entries import Entry, Sign
from screens.widgets.entry_list import EntryList
from screens.widgets.frame import KeyLine, Notice


class OnlookerScreen(Screen[None]):
    """Another wizard holds the session."""

    AUTO_FOCUS = "EntryList"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "next", _("Choose"))]

    class Chosen(Message):
        """What the person wants: `look`, `again`, `take` or `quit`."""

        def __init__(self, choice: str) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, state: WizardState) -> None:
        super().__init__()
        self._state = state

    def compose(self) -> ComposeResult:
        """What is so, and what can be done."""
        with Dialog():
            with DialogText():
                yield Notice(id="question")
            yield EntryList(id="answers")
            yield KeyLine()

    def on_mount(self) -> None:
        """Looking on comes first where there is a run."""
        self.query_one("#question", Notice).say(held_words(self._state.store.holder()))
        self._show_answers()

    def _show_answers(self) -> None:
        looking = (Entry("look", Sign.NONE, _("Look on at its run")),) if self._state.session.run_id else ()
        rest = (
            Entry("again", Sign.NONE, _("Try again")),
            Entry("take", Sign.NONE, _("End the other one, and go on here")),
            Entry("quit", Sign.NONE, _("Quit")),
        )
        self.query_one(EntryList).show_entries((*looking, *rest))

    def still_held(self) -> None:
        """Say that trying again was in vain, and when, so that every try is seen to have been one.

        A run that was begun meanwhile can be looked on at.
        """
        now = time.strftime("%H:%M:%S")
        held = held_words(self._state.store.holder())
        self.query_one("#question", Notice).say(_("{held} Tried again at {time}.", held=held, time=now))
        self._show_answers()

    def on_entry_list_pressed(self, event: EntryList.Pressed) -> None:
        """Space or a click chooses."""
        event.stop()
        self.action_next()

    def press_label(self) -> str:
        """Space chooses too."""
        return _("Choose")

    def action_next(self) -> None:
        """Do what the cursor is on."""
        selected = self.query_one(EntryList).selected
        if selected is not None:
            self.post_message(self.Chosen(selected.id))


def held_words(holder: int | None) -> str:
    """Who has the session, as far as that is known."""
    if holder is None:
        return _("kvmwizard is open already in another terminal. Only one at a time can change the answers.")
    return _(
        "kvmwizard is open already in another terminal (process {process}). Only one at a time can change "
        "the answers.",
        process=holder,
    )
