"""A proof for people, as plain text with or without colour."""

import shlex

from rich.cells import cell_len, set_cell_size

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.model import Proof, ProofLevel
from kvmwizard.words import _
from kvmwizard.wrapping import wrapped

SIGNS = {
    Outcome.PASS: "✔",
    Outcome.WARN: "!",
    Outcome.FAIL: "✖",
    Outcome.UNKNOWN: "?",
    Outcome.NOT_APPLICABLE: "-",
}
# Select Graphic Rendition of ECMA-48: the terminal's own green, yellow, red and faint.
COLOURS = {
    Outcome.PASS: "32",
    Outcome.WARN: "33",
    Outcome.FAIL: "31",
    Outcome.UNKNOWN: "33",
    Outcome.NOT_APPLICABLE: "2",
}
TITLE_INDENT = 2
NARROW = 70
"""Below this width, what was found stands under the title instead of beside it."""


def proof_as_text(proof: Proof, width: int, colour: bool) -> str:
    """The levels with what was found and what to do, the verdict, and the command line to use.

    Args:
        proof: what to show.
        width: cells a line may take; the command line alone is never broken, so that it can be copied.
        colour: colour the signs; without, not one escape byte is written.
    """
    column = TITLE_INDENT + max(cell_len(str(level.title)) for level in proof.levels) + 2
    if width < NARROW:
        column = TITLE_INDENT
    lines: list[str] = []
    remedy = None
    for level in proof.levels:
        # What is wrong with the device stands in the way of every level: said once, it is enough.
        shown = level.model_copy(update={"remedy": None}) if level.remedy == remedy else level
        lines += _level_lines(shown, column, width, colour=colour)
        remedy = level.remedy or remedy
    lines += ["", *wrapped(str(proof.verdict), width)]
    if proof.good and proof.command_line:
        lines += ["", *wrapped(_("To start a guest from a disk of yours:"), width)]
        lines.append(f"  {shlex.join(proof.command_line)}")
    return "\n".join(lines) + "\n"


def _level_lines(level: ProofLevel, column: int, width: int, *, colour: bool) -> list[str]:
    sign = SIGNS[level.outcome]
    if colour:
        sign = f"\x1b[{COLOURS[level.outcome]}m{sign}\x1b[0m"
    title, found = str(level.title), str(level.found)
    if column == TITLE_INDENT:
        lines = _hanging(f"{sign} ", wrapped(title, width - TITLE_INDENT), TITLE_INDENT)
        lines += _hanging(" " * column, wrapped(found, width - column), column)
    else:
        lead = f"{sign} {set_cell_size(title, column - TITLE_INDENT)}"
        lines = _hanging(lead, wrapped(found, width - column), column)
    if level.remedy is not None:
        remedy = _("To do: {remedy}", remedy=str(level.remedy))
        lines += _hanging(" " * column, wrapped(remedy, width - column), column)
    return lines


def _hanging(lead: str, lines: list[str], indent: int) -> list[str]:
    return [f"{lead}{lines[0]}", *(" " * indent + line for line in lines[1:])]
