"""Breaks plain text into lines that fit a terminal, measured in its cells."""

from rich.cells import cell_len, chop_cells


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, broken at spaces, and within a word that is too long."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines.extend(_wrapped_paragraph(paragraph, max(width, 2)))
    return lines


def _wrapped_paragraph(paragraph: str, width: int) -> list[str]:
    lines = [""]
    for word in paragraph.split():
        joined = f"{lines[-1]} {word}".lstrip()
        if cell_len(joined) <= width:
            lines[-1] = joined
            continue
        # A word wider than a line, as a path or Chinese text, is cut where the line ends.
        pieces = chop_cells(word, width)
        lines = [*lines, *pieces] if lines[-1] else pieces if len(lines) == 1 else [*lines[:-1], *pieces]
    return lines
