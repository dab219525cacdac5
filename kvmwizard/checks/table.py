"""Outcomes as rows of a table for a terminal or a pipe: the sign, the title, and what is said beside it."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from kvmwizard.checks.results import Outcome
from kvmwizard.words import _
from kvmwizard.wrapping import padded, wrapped

SYMBOLS = {
    Outcome.PASS: "✔",
    Outcome.WARN: "!",
    Outcome.FAIL: "✖",
    Outcome.UNKNOWN: "?",
    Outcome.NOT_APPLICABLE: "–",  # noqa: RUF001  -- a dash is meant
}

COLOURS = {
    Outcome.PASS: "\x1b[32m",
    Outcome.WARN: "\x1b[33m",
    Outcome.FAIL: "\x1b[1;31m",
    Outcome.UNKNOWN: "\x1b[36m",
    Outcome.NOT_APPLICABLE: "\x1b[2m",
}
PLAIN = "\x1b[0m"

OUTCOME_WIDTH = 10
TITLE_WIDTH = 26
TABLE_WIDTH = 64
"""In less, what was found stands below the title instead of beside it."""


def outcome_word(outcome: Outcome) -> str:
    """The outcome in the reader's language."""
    words = {
        Outcome.PASS: _("pass"),
        Outcome.WARN: _("warn"),
        Outcome.FAIL: _("FAIL"),
        Outcome.UNKNOWN: _("unknown"),
        Outcome.NOT_APPLICABLE: _("n/a"),
    }
    return words[outcome]


def outcome_rows(
    outcome: Outcome, parts: Sequence[tuple[str, str]], width: int, colour: bool
) -> Iterator[str]:
    """What is said of one outcome, in lines of at most `width` cells.

    Args:
        outcome: how it ended.
        parts: labels and texts; the first label is the title, the others stand below it.
        width: terminal cells a line may take.
        colour: colour the sign and its word; without, not one escape byte is written.
    """
    marked = f"{SYMBOLS[outcome]} {outcome_word(outcome)}"
    layout = _beside if width >= TABLE_WIDTH else _below
    for number, line in enumerate(layout(marked, parts, width)):
        if colour and number == 0:
            # The first line begins with the sign and its word, and only these are coloured.
            yield COLOURS[outcome] + marked + PLAIN + line.removeprefix(marked)
        else:
            yield line


def _beside(marked: str, parts: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    first = padded(marked, OUTCOME_WIDTH)
    indent = ""
    for label, text in parts:
        labels = [indent + line for line in wrapped(label, TITLE_WIDTH - 1 - len(indent))]
        texts = wrapped(text, width - OUTCOME_WIDTH - TITLE_WIDTH)
        for left, right in zip_longest(labels, texts, fillvalue=""):
            yield (first + padded(left, TITLE_WIDTH) + right).rstrip()
            first = " " * OUTCOME_WIDTH
        indent = "  "


def _below(marked: str, parts: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    yield from wrapped(f"{marked} {parts[0][0]}", width)
    for number, (label, text) in enumerate(parts):
        said = _("{label}: {text}", label=label, text=text) if number else text
        for line in wrapped(said, max(width - 2, 2)):
            yield f"  {line}"
