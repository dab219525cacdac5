"""Saving and loading the answers: atomic, locked, versioned.

`session.json` in the state directory holds the schema version, the answers,
the page one is on and the id of the run.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kvmwizard.answers import Answers
from kvmwizard.paths import (
    DirectoryRefused,
    FileRefused,
    cannot_write,
    private_directory,
    read_own_file,
    refuse_untrusted_file,
    remove_unfinished,
    sync_directory,
    trusted_directory,
    write_atomically,
)
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say

SCHEMA_VERSION = 2
LARGEST_SESSION_BYTES = 4 * 1024 * 1024
LONGEST_PROCESS_NUMBER = 16
RUN_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # The second schema has more kinds of answers; those of the first are among them.
    1: lambda document: {**document, "schema_version": 2},
}
"""From each older schema to the one after it."""

PageName = Literal[
    "welcome",
    "hardware",
    "kernel",
    "kernel_build",
    "kernel_options",
    "qemu",
    "qemu_build",
    "qemu_options",
    "access",
    "review",
    "run",
    "proof",
]

Way = Literal["packages", "source", "book"]
"""The ways in, as `WelcomeAnswer` has them."""


class Session(BaseModel):
    """What is saved between steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = 2
    answers: Answers = Answers()
    page: PageName = "welcome"
    run_id: Annotated[str, Field(pattern=RUN_ID)] | None = None
    other_ways: dict[Way, Answers] = {}
    """What was answered on the ways in that were left for another one; it comes back with them."""


class SessionRefused(Refusal):
    """The saved session must not be used: newer schema, someone else's, a link, no right to write."""


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
        self.lock_path = state_directory / "session.lock"
        self._lock_descriptor: int | None = None

    def load(self) -> LoadedSession:
        """The saved session, or a new one where there is none. Raises SessionRefused.

        A file that holds no session is set aside under a name that says so,
        and the notice tells; nothing else is ever changed.
        """
        if not os.path.lexists(self.state_directory):
            return LoadedSession(Session(), None)
        with _refusing(self.path):
            trusted_directory(self.state_directory)
            try:
                found = read_own_file(self.path, LARGEST_SESSION_BYTES)
            except FileNotFoundError:
                return LoadedSession(Session(), None)
        session = parse_session(found.content, self.path) if found.whole else None
        if session is not None:
            return LoadedSession(session, None)
        aside = self._set_aside(found.status)
        return LoadedSession(Session(), _set_aside_notice(aside)) if aside is not None else self.load()

    def save(self, session: Session) -> None:
        """Write, fsync, rename, fsync the directory. Raises SessionRefused where it cannot be written."""
        with _refusing(self.path):
            private_directory(self.state_directory)
            write_atomically(self.path, session.model_dump_json(indent=1).encode() + b"\n")

    def lock(self) -> bool:
        """Take the session for this process; False where another wizard holds it. Raises SessionRefused.

        It is held until `unlock` or the end of the process.
        """
        if self._lock_descriptor is not None:
            return True
        with _refusing(self.lock_path):
            private_directory(self.state_directory)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self.lock_path, flags, 0o600)
            try:
                refuse_untrusted_file(self.lock_path, os.fstat(descriptor))
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.fchmod(descriptor, 0o600)
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
            except BlockingIOError:
                os.close(descriptor)
                return False
            except BaseException:
                os.close(descriptor)
                raise
            remove_unfinished(self.path)
        self._lock_descriptor = descriptor
        return True

    def unlock(self) -> None:
        """Let another wizard have the session."""
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def holder(self) -> int | None:
        """The process id of the wizard that holds the session, for telling who it is; None where unknown."""
        try:
            return int(read_own_file(self.lock_path, LONGEST_PROCESS_NUMBER).content)
        except (FileRefused, OSError, ValueError):
            return None

    def _set_aside(self, status: os.stat_result) -> Path | None:
        """Where the file that holds no session is kept now; None where another wizard was faster."""
        with _refusing(self.path):
            aside = _reserved_name(f"{self.path}.unreadable-{time.strftime('%Y%m%d-%H%M%S')}")
            if os.path.samestat(status, self.path.lstat()):
                self.path.rename(aside)
                sync_directory(self.state_directory)
                return aside
            aside.unlink()
            return None


def parse_session(content: bytes, path: Path) -> Session | None:
    """The session that a file's content holds, brought to today's schema; None where it holds none.

    Raises SessionRefused for a schema newer than ours.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if type(version) is not int:
        return None
    if version > SCHEMA_VERSION:
        raise SessionRefused(_newer_schema(path, version))
    try:
        while version < SCHEMA_VERSION:
            document = MIGRATIONS[version](document)
            version += 1
        return Session.model_validate_json(json.dumps(document), strict=True)
    except (KeyError, ValueError, RecursionError):
        # No migration from there, or not the fields of a session (ValidationError is a ValueError).
        return None


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn the system's refusals into SessionRefused."""
    try:
        yield
    except (DirectoryRefused, FileRefused) as refused:
        raise SessionRefused(refused.words) from refused
    except OSError as error:
        raise SessionRefused(cannot_write(path, error)) from error


def _reserved_name(wanted: str, number: int = 1) -> Path:
    """A name nobody else has, made as an empty file so that nobody takes it."""
    path = Path(wanted if number == 1 else f"{wanted}-{number}")
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return _reserved_name(wanted, number + 1)
    return path


def _set_aside_notice(aside: Path) -> Words:
    return say(
        "The saved answers could not be read, so all pages start from their defaults. "
        "The unreadable file is kept as {path}.",
        path=str(aside),
    )


def _newer_schema(path: Path, version: int) -> Words:
    return say(
        "{path} was saved by a newer kvmwizard (its schema is {version}, this one knows {known}). "
        "Use that newer version, or name another directory with --state-dir DIRECTORY. "
        "The file has not been changed.",
        path=str(path),
        version=version,
        known=SCHEMA_VERSION,
    )
