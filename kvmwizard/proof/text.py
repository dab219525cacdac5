"""A proof for people, as plain text with or without colour."""

import shlex
from collections.abc import Iterator

from kvmwizard.checks.table import outcome_rows
from kvmwizard.proof.choose import FIRST_START, MAKE_DISK
from kvmwizard.proof.model import Proof, ProofLevel
from kvmwizard.words import Words, _
from kvmwizard.wrapping import wrapped


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
        lines += outcome_rows(level.outcome, tuple(_parts(level, remedy)), width, colour)
    lines += ["", *wrapped(str(proof.verdict), width)]
    if proof.good and proof.command_line:
        lines += ["", *wrapped(_("To start a guest from a disk of yours:"), width)]
        lines += [f"  {MAKE_DISK}", f"  {shlex.join(proof.command_line)}", *wrapped(str(FIRST_START), width)]
    return "\n".join(lines) + "\n"


def _parts(level: ProofLevel, remedy: Words | None) -> Iterator[tuple[str, str]]:
    yield str(level.title), str(level.found)
    if remedy is not None:
        yield _("To do"), str(remedy)
