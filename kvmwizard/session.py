"""Saving and loading the answers: atomic, locked, versioned.

`session.json` in the state directory holds the schema version, the answers,
the page one is on and the id of the run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kvmwizard.answers import Answers
from kvmwizard.words import Words

SCHEMA_VERSION = 1

PageName = Literal[
    "welcome", "hardware", "kernel", "kernel_options", "qemu", "qemu_options", "access", "review", "run", "proof"
]


class Session(BaseModel):
    """What is saved between steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    answers: Answers = Answers()
    page: PageName = "welcome"
    run_id: str | None = None


class SessionRefused(Exception):
    """The saved session must not be used: newer schema, someone else's, a link, no right to write.

    `words` says what happened, why, and what to do next.
    """

    def __init__(self, words: Words) -> None:
        super().__init__(words.english)
        self.words = words


@dataclass(frozen=True)
class LoadedSession:
    """A session, and what the person must be told about how it was loaded."""

    session: Session
    notice: Words | None
    """As: the file could not be parsed and was set aside under another name."""


class SessionStore:
    """The session file of one state directory."""

    def __init__(self, state_directory: Path) -> None:
        self.state_directory = state_directory
        self.path = state_directory / "session.json"

    def load(self) -> LoadedSession:
        """The saved session, or a new one where there is none. Raises SessionRefused."""
        raise NotImplementedError

    def save(self, session: Session) -> None:
        """Write, fsync, rename, fsync the directory. Raises SessionRefused where it cannot be written."""
        raise NotImplementedError

    def lock(self) -> bool:
        """Take the session for this process; False where another wizard holds it. Raises SessionRefused."""
        raise NotImplementedError
