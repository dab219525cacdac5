"""Asks for a line of text, and takes none that its rule refuses."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input

from kvmwizard.words import Words, _
from kvmwizard.wrapping import printable
from screens.widgets.dialog import Dialog, DialogText
from screens.widgets.entries import Entry, Sign
from screens.widgets.entry_list import EntryList
from screens.widgets.frame import KeyLine, Notice

Rule = Callable[[str], Words | None]
"""Why the text cannot be taken; None where it can. May look at files, so it is asked in a thread."""


class AnswerLine(Input):
    """The line to type in; what is not for typing is the dialog's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "screen.look(-1)", _("Up"), show=False),
        Binding(
            "down", "screen.look(1)", _("Look"), key_display="up_down", tooltip=_("Look at what is proposed")
        ),
        Binding("enter", "screen.take", _("Take this"), tooltip=_("Take what was typed")),
    ]

    def validate_value(self, value: str) -> str:
        """What steers a terminal, as a paste may hold it, becomes a sign that is seen."""
        return printable(value)


class TextDialog(ModalScreen[str | None]):
    """A question with a line to type the answer in; the result is None where nothing was answered."""

    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", _("Back"), tooltip=_("Leave it as it was")),
    ]

    def __init__(
        self,
        question: str,
        value: str = "",
        *,
        rule: Rule,
        proposals: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Ask.

        Args:
            question: what is to be typed, and what it is for.
            value: what stands there at first.
            rule: what can be taken.
            proposals: texts to choose from with the arrows, each with what is shown for it.
        """
        super().__init__()
        self._question = question
        self._value = value
        self._rule = rule
        self._proposals = proposals
        self._asking = False
        self._looked_at: Entry | None = None
        """The proposal that the cursor is on."""

    def compose(self) -> ComposeResult:
        """The question, what is wrong with the line, the line, what can be chosen instead, the keys."""
        with Dialog():
            with DialogText():
                yield Notice(id="question")
                yield Notice(id="notice")
            # A blinking cursor is sent again and again.
            yield AnswerLine(self._value, select_on_focus=False)
            if self._proposals:
                yield EntryList(id="answers")
            yield KeyLine()

    def on_mount(self) -> None:
        """Ask."""
        self.query_one(Input).cursor_blink = False
        self.query_one("#question", Notice).say(self._question)
        for entries in self.query(EntryList):
            entries.can_focus = False
            entries.show_entries(
                tuple(Entry(text, Sign.NONE, shown) for text, shown in self._proposals), self._value
            )
            self._looked_at = entries.selected

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  -- Textual's signature
        """The arrows are for what is proposed."""
        return action != "look" or bool(self._proposals)

    def action_look(self, rows: int) -> None:
        """Put the proposal so many rows further into the line."""
        self.query_one(EntryList).action_move(rows)

    @on(EntryList.Moved)
    def _moved(self, event: EntryList.Moved) -> None:
        event.stop()
        if event.entry != self._looked_at:
            self._put(event.entry)

    @on(EntryList.Pressed)
    def _pressed(self, event: EntryList.Pressed) -> None:
        event.stop()
        self._put(event.entry)

    def _put(self, entry: Entry) -> None:
        self._looked_at = entry
        line = self.query_one(Input)
        line.value = entry.id
        line.cursor_position = len(entry.id)

    @on(Input.Changed)
    def _was_typed(self) -> None:
        self.query_one("#notice", Notice).clear()

    def action_take(self) -> None:
        """Take the text, if its rule does."""
        if not self._asking:
            self.run_worker(self._take(self.query_one(Input).value), exclusive=True)

    async def _take(self, text: str) -> None:
        self._asking = True
        try:
            refusal = await asyncio.to_thread(self._rule, text)
        finally:
            self._asking = False
        if refusal is None:
            self.dismiss(text)
        else:
            self.query_one("#notice", Notice).say(str(refusal))
            self.query_one(DialogText).scroll_end(animate=False)

    def action_leave(self) -> None:
        """Leave it as it was."""
        self.dismiss(None)
