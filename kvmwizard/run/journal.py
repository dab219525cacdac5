"""The journal of a run: JSON Lines, each event on the disk before it is acted on; the run's truth.

The format. One event a line, as one JSON object in ASCII, ended by a newline; `run.model` lists the
kinds of events and their fields. The first line is a `run-began`, whose `journal_version` says which
kinds and fields may follow (without it: 1). Replaying the events gives the state of the run; nothing
else does.

Who reads takes whole lines up to the first that is no event: what lies behind was torn by a kill, a
power cut or a full disk. A journal of a newer version is refused, and neither changed nor cut.

Who writes, the runner alone, which holds the run's lock, does so in this way:

- With its first event it writes the whole journal anew beside the old one and renames it. What lay behind
  the last event goes to `journal.torn`. Thus nothing is acted on that is only in memory: an event whose
  writer was killed before its fsync, or whose fsync failed.
- Every other event is appended and synced before it is acted on.
- Where that fails, nothing more is appended. The kernel reports a failed fsync once and may have dropped
  what it could not write (fsync(2), NOTES), so that a later success would prove nothing. The half-written
  event is cut off if that can be done; if not, the next reader leaves it out. Should it stand there whole
  it does no harm: events tell what was begun, and what was begun is looked at again.
"""

import contextlib
import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from kvmwizard.paths import FileRefused, read_own_file, remove_unfinished, write_atomically
from kvmwizard.run.model import JOURNAL_VERSION, Event, EventModel, RunBegan
from kvmwizard.run.refused import RunRefused
from kvmwizard.words import Words, say

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
MEGABYTE = 1024 * 1024
LARGEST_JOURNAL_BYTES = 16 * MEGABYTE
"""A run of a kernel and a QEMU from source journals some 100 KB."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class JournalReading:
    """What a journal says."""

    began: RunBegan
    events: tuple[Event, ...]
    """All of them, `began` first."""
    torn: bytes
    """What lies behind them and is no event."""


def read_journal(path: Path) -> JournalReading:
    """Every event up to the first line that is none.

    Raises:
        RunRefused: a newer kvmwizard wrote it, its first line begins no run, it is larger than any journal,
            or somebody else may have written it.
        OSError: it cannot be read.
    """
    content = _content(path)
    events: list[Event] = []
    position = 0
    while (end := content.find(b"\n", position)) >= 0:
        try:
            events.append(EVENT.validate_json(content[position:end]))
        except ValidationError:
            break
        position = end + 1
    began = events[0] if events else None
    if not isinstance(began, RunBegan):
        raise _unreadable(path, content.partition(b"\n")[0])
    return JournalReading(began, tuple(events), content[position:])


def create_journal(path: Path, first: RunBegan) -> None:
    """A new journal that holds its first event, there even after a power cut. Raises OSError."""
    write_atomically(path, event_line(first))


def event_line(event: EventModel) -> bytes:
    """One event as one line, ASCII alone so that no byte of it can be half a character."""
    return event.model_dump_json(ensure_ascii=True).encode("ascii") + b"\n"


class Journal:
    """An open journal, for its one writer."""

    def __init__(self, path: Path) -> None:
        """Read it; nothing is changed before the first event is written. Raises RunRefused, OSError."""
        self.path = path
        self._found = read_journal(path)
        self._descriptor = -1
        self._failure: OSError | None = None

    @property
    def cut_bytes(self) -> int:
        """How much of what was found is no event and gets cut off."""
        return len(self._found.torn)

    def append(self, event: EventModel) -> None:
        """Write one event whole and sync it.

        Raises OSError (no space, a failing disk), and from then on always: see above.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self._descriptor < 0:
                self._write_anew(event_line(event))
            else:
                self._append(event_line(event))
        except OSError as error:
            self._failure = error
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_anew(self, line: bytes) -> None:
        # Newer events than an older kvmwizard knows may follow.
        began = self._found.began.model_copy(update={"journal_version": JOURNAL_VERSION})
        aside = self.path.with_suffix(".torn")
        for path in (self.path, aside):
            remove_unfinished(path)
        if self._found.torn:
            write_atomically(aside, self._found.torn)
        write_atomically(self.path, b"".join(map(event_line, (began, *self._found.events[1:]))) + line)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise


def cannot_append(path: Path, error: OSError) -> Words:
    """The sentence for a journal that takes no more."""
    if error.errno in FULL:
        return say(
            "The disk is full: the journal {path} could not take what is done next, so the run stopped "
            "before its next step. Make room (df -h shows where it is missing), then go on with the run.",
            path=str(path),
        )
    return say(
        "The journal {path} cannot be written: {error}. The run stopped before its next step. See with dmesg "
        "whether the disk fails, and mend that; then go on with the run.",
        path=str(path),
        error=error.strerror or str(error),
    )


def _unreadable(path: Path, first_line: bytes) -> RunRefused:
    version = _version(first_line)
    if version is not None and version > JOURNAL_VERSION:
        return RunRefused(
            say(
                "{path} was written by a newer kvmwizard (its version is {version}, this one knows {known}). "
                "Go on with the run in that newer kvmwizard. The file has not been changed.",
                path=str(path),
                version=version,
                known=JOURNAL_VERSION,
            )
        )
    return RunRefused(
        say(
            "The journal {path} cannot be read from its first line on. Begin a new run from Review "
            "(kvmwizard, then Esc); what earlier steps did stays, and steps that are done are skipped.",
            path=str(path),
        )
    )


def _version(first_line: bytes) -> int | None:
    """What a first line says of its journal's version, whatever else a newer kvmwizard writes there."""
    try:
        said = json.loads(first_line)
    except (ValueError, RecursionError):
        return None
    version = said.get("journal_version") if isinstance(said, dict) else None
    return version if type(version) is int else None


def _content(path: Path) -> bytes:
    try:
        found = read_own_file(path, LARGEST_JOURNAL_BYTES)
    except FileRefused as refused:
        raise RunRefused(refused.words) from refused
    if not found.whole:
        raise RunRefused(_too_large(path))
    return found.content


def _too_large(path: Path) -> Words:
    return say(
        "{path} has more than {count} MB, which no journal of kvmwizard has. Move it away, then begin a new "
        "run; what earlier steps did stays.",
        path=str(path),
        count=LARGEST_JOURNAL_BYTES // MEGABYTE,
    )
