"""How a command ends: its exit code, or the refusal that leads to one."""

from enum import IntEnum

from kvmwizard.refusal import Refusal
from kvmwizard.words import Words


class ExitCode(IntEnum):
    """The process's exit code; documented in the README."""

    GOOD = 0
    NOT_GOOD = 1
    """Not ready, or failed."""
    WRONG_USE = 2
    """Wrong use, or input that cannot be read."""
    RESUMABLE = 3
    """Stopped; `kvmwizard apply` goes on."""


class CommandRefused(Refusal):
    """A command cannot do what was asked; `words` says what happened, why, and what to do next."""

    def __init__(self, exit_code: ExitCode, words: Words, details: tuple[Words, ...] = ()) -> None:
        super().__init__(words)
        self.exit_code = exit_code
        self.details = details
