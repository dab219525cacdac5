"""The layout of --help, in terminal cells: argparse counts characters, and a Chinese one takes two cells."""

import argparse
import re

from rich.cells import cell_len

from kvmwizard.wrapping import wrapped

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What Python 3.14 and later put around an argument; it takes no cell."""
NARROWEST_HELP = 11
"""Cells that the explanations keep on the narrowest terminal, as argparse has it."""


class CellHelpFormatter(argparse.HelpFormatter):
    """argparse's own formatter, but for what it measures."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(" ".join(text.split()), width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(f"{indent}{line}" for line in self._split_lines(text, width - len(indent)))

    def _format_action(self, action: argparse.Action) -> str:
        column = self._max_help_position
        header = " " * self._current_indent + self._format_action_invocation(action)
        explanation = self._expand_help(action) if action.help else ""
        lines = self._split_lines(explanation, max(self._width - column, NARROWEST_HELP))
        room = column - cell_len(COLOUR.sub("", header))
        first = f"{header}{' ' * room}{lines.pop(0)}" if room > 1 else header
        rows = [first.rstrip(), *(" " * column + line for line in lines if line)]
        inner = [self._format_action(subaction) for subaction in self._iter_indented_subactions(action)]
        return "".join([*(f"{row}\n" for row in rows), *inner])
