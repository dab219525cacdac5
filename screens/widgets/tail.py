"""The last lines of a log."""

from typing import ClassVar

from textual.strip import Strip

from screens.widgets.painted import PaintedLines, fitted, line


class Tail(PaintedLines):
    """As many of the last lines as there is room for."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tail--line"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  -- Textual's name
        super().__init__(id=id)
        self._texts: tuple[str, ...] = ()

    def show_lines(self, texts: tuple[str, ...]) -> None:
        """Show the end of these."""
        if texts != self._texts:
            self._texts = texts
            self.repaint()

    def paint(self, width: int, height: int) -> list[Strip]:
        """Each line cut at the edge; the full log is a key away."""
        style = self.style_named("tail--line")
        shown = self._texts[-height:] if height > 0 else ()
        return [line((fitted(f" {text}", width, self.signs.more).rstrip(), style)) for text in shown]
