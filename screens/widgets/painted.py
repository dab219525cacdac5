"""The base of our widgets: lines painted by hand, of which only what changed is sent.

A serial line or a slow SSH carries every repainted cell, so a widget compares
the new lines with those on the screen and marks no more than the changed part.
"""

from abc import abstractmethod
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.scrollbar import ScrollBarRender
from textual.strip import Strip
from textual.widget import Widget

from kvmwizard.wrapping import printable
from screens.terminal import UNICODE_SIGNS, Signs

BLANK = Strip.blank(0)


def changed_width(old: Strip, new: Strip) -> int:
    """Cells from the line's start that must be sent again; 0 where the lines are alike."""
    if old.cell_length != new.cell_length:
        return max(old.cell_length, new.cell_length)
    before, after = list(old), list(new)
    while before and after and before[-1] == after[-1]:
        before.pop()
        after.pop()
    return sum(segment.cell_length for segment in after)


def fitted(text: str, width: int, more: str) -> str:
    """The text in exactly so many cells: padded, or cut with the sign for more; no control characters."""
    text = printable(text)
    if cell_len(text) <= width:
        return set_cell_size(text, max(width, 0))
    return set_cell_size(text, max(width - cell_len(more), 0)) + set_cell_size(
        more, min(width, cell_len(more))
    )


def line(*parts: tuple[str, Style]) -> Strip:
    """A line of styled texts; whatever they come from, they do not steer the terminal."""
    return Strip([Segment(printable(text), style) for text, style in parts if text])


class WholeCells(ScrollBarRender):
    """A scroll bar of whole cells, coloured: the eighths of a block are on few fonts of the console."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "]


class PaintedLines(Widget):
    """A widget that is a few lines of styled text."""

    DEFAULT_CSS = """
    PaintedLines {
        &.-hidden { display: none; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002  -- Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: list[Strip] = []

    @abstractmethod
    def paint(self, width: int, height: int) -> list[Strip]:
        """The lines to show in so many cells and rows; they may be fewer and shorter."""

    @property
    def signs(self) -> Signs:
        """The signs this terminal can show."""
        signs = getattr(self.app, "signs", UNICODE_SIGNS)
        return signs if isinstance(signs, Signs) else UNICODE_SIGNS

    def style_named(self, name: str) -> Style:
        """The style of one of the widget's component classes."""
        return self.get_component_rich_style(name, partial=True)

    def repaint(self) -> None:
        """Paint anew, and mark for sending what differs from before."""
        if not self.is_mounted or not self.content_size:
            return
        old = self._lines
        self._lines = self.paint(self.content_size.width, self.content_size.height)
        for y in range(max(len(old), len(self._lines))):
            width = changed_width(_at(old, y), _at(self._lines, y))
            if width:
                self.refresh(Region(0, y, width, 1))

    def render_line(self, y: int) -> Strip:
        """Textual asks for a line."""
        return _at(self._lines, y)

    def on_resize(self, _event: events.Resize) -> None:
        """Another number of cells is there to paint in."""
        self.repaint()


def _at(lines: list[Strip], y: int) -> Strip:
    return lines[y] if 0 <= y < len(lines) else BLANK
