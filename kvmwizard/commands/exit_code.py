"""How a command ends."""

from enum import IntEnum

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


class CommandRefused(Exception):  # noqa: N818  -- a refusal is an answer, not a fault
    """A command cannot do what was asked; `words` says what happened, why, and what to do next."""

    def __init__(self, code: ExitCode, words: Words, details: tuple[Words, ...] = ()) -> None:
        super().__init__(words.english)
        self.code = code
        self.words = words
        self.details = details
