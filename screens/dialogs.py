"""Screens above a page: a question whose safe answer comes first, and a text to read."""

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kvmwizard.words import _
from kvmwizard.wrapping import wrapped
from screens.widgets.dialog import Dialog, DialogText
from screens.widgets.entries import Entry, Sign
from screens.widgets.entry_list import EntryList
from screens.widgets.frame import KeyLine, Notice
from screens.widgets.painted import BLANK, WholeCells, line

LABEL_GAP = 2
WIDEST_LABEL = 16


class Question(ModalScreen[bool]):
    """Asks before something that cannot be taken back lightly; No is where the cursor is."""

    AUTO_FOCUS = "EntryList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", _("Answer")),
        Binding("e", "explain", _("Read all"), tooltip=_("Read all of what it is about")),
        Binding("escape,left", "back", _("Back"), key_display="left"),
    ]

    def __init__(self, question: str, no: str, yes: str, details: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._question = question
        self._details = details
        self._answers = (Entry("no", Sign.NONE, no), Entry("yes", Sign.NONE, yes))

    def compose(self) -> ComposeResult:
        """The question, its two answers, the keys."""
        with Dialog():
            with DialogText():
                yield Notice(id="question")
                if self._details:
                    details = TextLines(tuple(("-", detail) for detail in self._details), at_end=False)
                    details.can_focus = False
                    yield details
            yield EntryList(id="answers")
            yield KeyLine()

    def on_mount(self) -> None:
        """Start at No."""
        self.query_one("#question", Notice).say(self._question)
        self.query_one(EntryList).show_entries(self._answers)

    @property
    def listed_actions(self) -> tuple[str, ...]:
        """Space does what Enter does, and leaves its room to the other keys."""
        return ("press",)

    @on(EntryList.Pressed)
    def _pressed(self) -> None:
        self.action_next()

    def press_label(self) -> str:
        """Space answers too."""
        return _("Answer")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  -- Textual's signature
        """Some questions say all that there is to say."""
        return action != "explain" or bool(self._details)

    def action_explain(self) -> None:
        """The details alone, on all of the terminal."""
        paragraphs = tuple(("-", detail) for detail in self._details)
        self.app.push_screen(TextScreen(self._question, paragraphs))

    def action_next(self) -> None:
        """Answer as the cursor says."""
        selected = self.query_one(EntryList).selected
        self.dismiss(selected is not None and selected.id == "yes")

    def action_back(self) -> None:
        """Leave everything as it is."""
        self.dismiss(False)


class TextLines(ScrollView, can_focus=True):
    """Labelled paragraphs, wrapped to the width, to scroll through."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"text--label", "text--body"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", _("Up"), show=False),
        Binding("down,j", "scroll_down", _("Look"), key_display="up_down"),
        Binding("pageup", "page_up", _("Page up"), show=False),
        Binding("pagedown,space", "page_down", _("Page down"), show=False),
        Binding("home", "scroll_home", _("First"), show=False),
        Binding("end", "scroll_end", _("Last"), show=False),
    ]

    def __init__(self, paragraphs: tuple[tuple[str, str], ...], *, at_end: bool) -> None:
        super().__init__()
        self._paragraphs = paragraphs
        self._at_end = at_end
        self._lines: list[Strip] = []

    def on_mount(self) -> None:
        """The scroll bar is one that every terminal can show."""
        self.vertical_scrollbar.renderer = WholeCells  # type: ignore[misc]  # declared for all, read from each

    def show(self, paragraphs: tuple[tuple[str, str], ...]) -> None:
        """Show these instead; whoever looks at the end goes on looking at it."""
        self._paragraphs = paragraphs
        self._at_end = self.scroll_offset.y >= self.max_scroll_y
        self._wrap()

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap to the width there is."""
        self._wrap()

    def _wrap(self) -> None:
        indent = self._indent
        label_style = self.get_component_rich_style("text--label", partial=True)
        body_style = self.get_component_rich_style("text--body", partial=True)
        self._lines = [
            line((set_cell_size(label if first == 0 else "", indent), label_style), (text, body_style))
            for label, paragraph in self._paragraphs
            for first, text in enumerate(self._lines_of(paragraph, self.size.width))
        ]
        self.virtual_size = Size(0, len(self._lines))
        self.refresh()
        if self._at_end:
            self.scroll_end(animate=False)

    @property
    def _indent(self) -> int:
        labels = min(max((cell_len(label) for label, _text in self._paragraphs), default=0), WIDEST_LABEL)
        return labels + LABEL_GAP if labels else 0

    def _lines_of(self, paragraph: str, width: int) -> list[str]:
        return wrapped(paragraph, max(width - self._indent - 1, 8))

    def get_content_height(self, _container: Size, _viewport: Size, width: int) -> int:
        """As high as the text is, where the stylesheet says `auto`."""
        return sum(len(self._lines_of(paragraph, width)) for _label, paragraph in self._paragraphs)

    def render_line(self, y: int) -> Strip:
        """Textual asks for a line."""
        row = y + self.scroll_offset.y
        return self._lines[row] if row < len(self._lines) else BLANK


class TextScreen(ModalScreen[None]):
    """A text over the whole terminal."""

    AUTO_FOCUS = "TextLines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,left,enter,q,question_mark", "close", _("Back"), key_display="left"),
    ]

    def __init__(self, title: str, paragraphs: tuple[tuple[str, str], ...], *, at_end: bool = False) -> None:
        super().__init__()
        self._title = title
        self._paragraphs = paragraphs
        self._at_end = at_end

    def compose(self) -> ComposeResult:
        """A title, the text, the keys."""
        yield Notice(id="text-title")
        yield TextLines(self._paragraphs, at_end=self._at_end)
        yield KeyLine()

    def on_mount(self) -> None:
        """Say what this is."""
        self.query_one("#text-title", Notice).say(self._title)

    def action_close(self) -> None:
        """Back to the page."""
        self.dismiss(None)


def help_paragraphs() -> tuple[tuple[str, str], ...]:
    """What the help screen says."""
    return (
        (_("Arrows"), _("Up and down select a line; what is selected explains itself below the list.")),
        (
            _("Space"),
            _(
                "Chooses or switches the selected line; where there is nothing to choose, shows all of "
                "its explanation."
            ),
        ),
        (_("Enter"), _("Takes what is selected where one is to be chosen, and goes on to the next page.")),
        (_("Esc, left"), _("Back to the page before. No answer is lost.")),
        (_("Letters"), _("Do what the last line of the page says.")),
        (_("Ctrl+P"), _("A list of everything that can be done on the page, to search in.")),
        (_("q, Ctrl+Q"), _("Quits. Everything answered is saved; the wizard opens again where you were.")),
        ("", ""),
        (
            "",
            _(
                "Nothing is changed on this machine before the Review page, which lists every step and "
                "command. A run goes on by itself: closing the wizard, or losing the connection, does not "
                "stop it."
            ),
        ),
    )
