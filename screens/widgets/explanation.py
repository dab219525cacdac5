"""The pane below a list: what the selected entry found, why it matters, and what to do."""

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.strip import Strip

from kvmwizard.wrapping import wrapped
from screens.widgets.entries import Part
from screens.widgets.painted import PaintedLines, line


class Explanation(PaintedLines):
    """Labelled sentences, wrapped."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"explanation--label", "explanation--text"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  -- Textual's name
        super().__init__(id=id)
        self._parts: tuple[Part, ...] = ()

    def explain(self, parts: tuple[Part, ...]) -> None:
        """Show these parts."""
        self._parts = parts
        self.repaint()

    def paint(self, width: int, height: int) -> list[Strip]:
        """Every part begins at the same column; what does not fit ends in the sign for more."""
        labels = max((cell_len(part.label) for part in self._parts), default=0) + 2
        room = width - labels - 2
        label_style = self.style_named("explanation--label")
        text_style = self.style_named("explanation--text")
        texts = [
            (part.label if first == 0 else "", text)
            for part in self._parts
            for first, text in enumerate(wrapped(part.text, room))
        ]
        if len(texts) > height > 0:
            label, last = texts[height - 1]
            texts = [
                *texts[: height - 1],
                (label, set_cell_size(last, min(cell_len(last), room - 2)) + " " + self.signs.more),
            ]
        return [
            line((" " + set_cell_size(label, labels), label_style), (text, text_style))
            for label, text in texts
        ]
