"""The box of a question: its text gives way where there is little room, its answers and keys never do."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.geometry import Size
from textual.layout import ArrangeResult, Layout
from textual.layouts.vertical import VerticalLayout
from textual.widget import Widget

from kvmwizard.words import _
from screens.widgets.painted import WholeCells


class FirstGivesWay(VerticalLayout):
    """One under the other; where there is no room for all of them, the first has less."""

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        """Textual asks where each child goes."""
        first, *others = super().arrange(parent, children, size, greedy)
        missing = max(placement.region.bottom for placement in (first, *others)) - size.height
        given = min(missing, first.region.height)
        # Without a height Textual asks how high all of it would be.
        if not size.height or given <= 0:
            return [first, *others]
        shrunk = first._replace(region=first.region.shrink((0, 0, given, 0)))
        return [
            shrunk,
            *(each._replace(region=each.region.translate((0, -given))) for each in others),
        ]


class DialogText(VerticalScroll, can_focus=False):
    """What is asked; it scrolls where it does not fit, and never has the focus, which is the answers'."""

    def on_mount(self) -> None:
        """The scroll bar is one that every terminal can show."""
        self.vertical_scrollbar.renderer = WholeCells  # type: ignore[misc]  # declared for all, read from each

    def watch_show_vertical_scrollbar(self) -> None:
        """The keys that scroll are for a text that does not fit."""
        self.screen.refresh_bindings()


class Dialog(Vertical):
    """A text, what answers it, and the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Before the same keys of the answers, which are few.
        Binding(
            "pagedown",
            "read(1)",
            _("More"),
            key_display="PgDn",
            tooltip=_("Read on in what is asked"),
            priority=True,
        ),
        Binding("pageup", "read(-1)", _("Back in the text"), show=False, priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._giving_way = FirstGivesWay()

    @property
    def layout(self) -> Layout:
        """The answers and the keys keep their place; a stylesheet knows Textual's own layouts only."""
        return self._giving_way

    @property
    def _text(self) -> DialogText:
        return self.query_one(DialogText)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  -- Textual's signature
        """Only a text that does not fit is scrolled."""
        return action != "read" or self._text.show_vertical_scrollbar

    def action_read(self, direction: int) -> None:
        """Scroll the text by what is in sight of it."""
        if direction > 0:
            self._text.scroll_page_down(animate=False)
        else:
            self._text.scroll_page_up(animate=False)
