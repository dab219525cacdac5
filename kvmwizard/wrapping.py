"""Text in lines of terminal cells, for output that is no screen.

A Chinese character takes two cells and has no spaces around it, so neither len()
nor textwrap can lay it out.
"""

import re
from collections.abc import Iterator

from rich.cells import cell_len, chop_cells, set_cell_size

CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)
"""What moves a terminal's cursor or changes what it is; what makes text run backwards, so that it reads as
another one (Unicode Technical Report 36, 2.5); and halves of surrogate pairs, which no encoding can send.
"""
CLINGING = "，。、；：！？）》」』”’"  # noqa: RUF001  -- these are the characters meant
"""Punctuation that does not begin a line in Chinese and Japanese text."""

SIGNS_IN_ASCII = str.maketrans(
    {"✔": "+", "✖": "x", "–": "-", "“": '"', "”": '"', "‘": "'", "’": "'"}  # noqa: RUF001  -- the signs meant
)


def signs_in_ascii(text: str) -> str:
    """The text with our own signs in ASCII, cell for cell, for output that is not UTF-8."""
    return text.translate(SIGNS_IN_ASCII)


def printable(text: str) -> str:
    """The text without control characters: what a log or a file says must not steer the terminal."""
    return CONTROL_CHARACTERS.sub("?", text)


def padded(text: str, width: int) -> str:
    """The text cut or filled with spaces to exactly `width` cells."""
    return set_cell_size(text, width)


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, at least one line; too long a word is cut."""
    lines = [""]
    for piece in _pieces(printable(text)):
        joined = lines[-1] + piece
        if cell_len(joined.rstrip()) <= width:
            lines[-1] = joined
            continue
        *full, rest = chop_cells(piece.lstrip(), max(width, 2)) or [""]
        if not lines[-1]:
            lines.pop()
        lines += [*full, rest]
    return [line.rstrip() for line in lines]


def _pieces(text: str) -> Iterator[str]:
    """Words with the spaces after them; wide characters stand alone, with what clings to them."""
    piece = ""
    for character in text:
        apart = piece and (
            (piece[-1] == " " and character != " ")
            or (cell_len(character) > 1 and character not in CLINGING)
            or (cell_len(piece[-1]) > 1 and character not in CLINGING and character != " ")
        )
        if apart:
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece
