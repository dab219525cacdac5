"""A proof for people, as plain text with or without colour."""

import shlex
from collections.abc import Iterator
from itertools import zip_longest

from kvmwizard.checks.text import (
    COLOURS,
    OUTCOME_WIDTH,
    PLAIN,
    SYMBOLS,
    TABLE_WIDTH,
    TITLE_WIDTH,
    outcome_word,
)
from kvmwizard.proof.model import Proof, ProofLevel
from kvmwizard.words import Words, _
from kvmwizard.wrapping import padded, wrapped


def proof_as_text(proof: Proof, width: int, colour: bool) -> str:
    """The levels with what was found and what to do, the verdict, and the command line to use.

    Args:
        proof: what to show.
        width: cells a line may take; the command line alone is never broken, so that it can be copied.
        colour: colour the signs; without, not one escape byte is written.
    """
    lines: list[str] = []
    said: list[Words] = []
    for level in proof.levels:
        # What is wrong with the device stands in the way of every level: said once, it is enough.
        remedy = None if level.remedy in said else level.remedy
        said += [remedy] if remedy is not None else []
        lines += _rows(level, remedy, width, colour=colour)
    lines += ["", *wrapped(str(proof.verdict), width)]
    if proof.good and proof.command_line:
        lines += ["", *wrapped(_("To start a guest from a disk of yours:"), width)]
        lines.append(f"  {shlex.join(proof.command_line)}")
    return "\n".join(lines) + "\n"


def _rows(level: ProofLevel, remedy: Words | None, width: int, *, colour: bool) -> Iterator[str]:
    marked = f"{SYMBOLS[level.outcome]} {outcome_word(level.outcome)}"
    parts = [str(level.found)]
    if remedy is not None:
        parts.append(_("To do: {remedy}", remedy=str(remedy)))
    layout = _beside if width >= TABLE_WIDTH else _below
    for number, line in enumerate(layout(marked, str(level.title), parts, width)):
        if colour and number == 0:
            yield COLOURS[level.outcome] + marked + PLAIN + line.removeprefix(marked)
        else:
            yield line


def _beside(marked: str, title: str, parts: list[str], width: int) -> Iterator[str]:
    texts = [line for part in parts for line in wrapped(part, width - OUTCOME_WIDTH - TITLE_WIDTH)]
    lead = padded(marked, OUTCOME_WIDTH)
    for left, right in zip_longest(wrapped(title, TITLE_WIDTH - 1), texts, fillvalue=""):
        yield f"{lead}{padded(left, TITLE_WIDTH)}{right}".rstrip()
        lead = " " * OUTCOME_WIDTH


def _below(marked: str, title: str, parts: list[str], width: int) -> Iterator[str]:
    yield from wrapped(f"{marked} {title}", width)
    for part in parts:
        for line in wrapped(part, max(width - 2, 2)):
            yield f"  {line}"
