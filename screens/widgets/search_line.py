"""A line to search with: what is typed, and how much it finds."""

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from kvmwizard.words import _
from screens.widgets.painted import PaintedLines, fitted, line

LONGEST_SEARCH = 40


class SearchLine(PaintedLines, can_focus=True):
    """One line; every key typed in it is told at once."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "search--label",
        "search--text",
        "search--found",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "rub_out", _("Rub out"), show=False),
        Binding("ctrl+u", "clear", _("Clear"), show=False),
    ]

    class Typed(Message):
        """The text is another one."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  -- Textual's name
        super().__init__(id=id)
        self._text = ""
        self._found = ""

    @property
    def text(self) -> str:
        """What is searched for."""
        return self._text

    def tell(self, found: str) -> None:
        """Show at the right end how much was found."""
        self._found = found
        self.repaint()

    def type(self, characters: str) -> None:
        """Add to the text, as if typed here."""
        self._change((self._text + characters)[:LONGEST_SEARCH])

    def action_rub_out(self) -> None:
        """Take the last character away."""
        self._change(self._text[:-1])

    def action_clear(self) -> None:
        """Search for nothing in particular."""
        self._change("")

    def check_consume_key(self, key: str, character: str | None) -> bool:  # noqa: ARG002  -- Textual's signature
        """Textual asks which keys are typed here, and so do nothing else."""
        return character is not None and character.isprintable()

    def on_key(self, event: events.Key) -> None:
        """Whatever can be printed is searched for, letters that are keys elsewhere among it."""
        if event.character is not None and event.is_printable:
            event.stop()
            event.prevent_default()
            self.type(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted is searched for, as far as it is one line."""
        event.stop()
        self.type("".join(filter(str.isprintable, event.text)))

    def on_focus(self) -> None:
        """Show where the next character goes."""
        self.repaint()

    def on_blur(self) -> None:
        """No character goes here."""
        self.repaint()

    def _change(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.repaint()
            self.post_message(self.Typed(text))

    def paint(self, width: int, height: int) -> list[Strip]:  # noqa: ARG002  -- always one line
        """The text at the left, what was found at the right."""
        label = _("Search:")
        cursor = "_" if self.has_focus else ""
        room = max(width - cell_len(label) - 4 - cell_len(self._found), 1)
        text = fitted(f"{self._text}{cursor}", room, self.signs.more)
        return [
            line(
                (f" {label} ", self.style_named("search--label")),
                (text, self.style_named("search--text")),
                (f" {self._found} ", self.style_named("search--found")),
            )
        ]
