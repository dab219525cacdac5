"""The journal: append-only JSON Lines, each event written whole and synced; the run's truth.

A reader takes whole lines up to the first that is no event. Only the runner,
which alone holds the run's lock, cuts such an end off, and sets it aside.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from kvmwizard.paths import sync_directory, write_atomically
from kvmwizard.run.model import Event, EventModel

EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass(frozen=True)
class JournalReading:
    """What a journal says."""

    events: tuple[Event, ...]
    good_bytes: int
    """How far the events reach."""
    torn_bytes: int
    """What lies behind them and is no event."""


def read_journal(path: Path) -> JournalReading:
    """Every event up to the first line that is none. Raises OSError."""
    content = path.read_bytes()
    events: list[Event] = []
    position = 0
    while (end := content.find(b"\n", position)) >= 0:
        try:
            events.append(EVENT.validate_json(content[position:end]))
        except ValidationError:
            break
        position = end + 1
    return JournalReading(tuple(events), position, len(content) - position)


def create_journal(path: Path, first: EventModel) -> None:
    """A new journal that holds its first event, there even after a power cut. Raises OSError."""
    write_atomically(path, event_line(first))


def event_line(event: EventModel) -> bytes:
    """One event as one line, ASCII alone so that no byte of it can be half a character."""
    return event.model_dump_json(ensure_ascii=True).encode("ascii") + b"\n"


class Journal:
    """An open journal, for its one writer."""

    def __init__(self, path: Path) -> None:
        """Open for appending; what is no event at the end is cut off and set aside. Raises OSError."""
        self.path = path
        self.cut_bytes = self._cut_torn_end()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)

    def append(self, event: EventModel) -> None:
        """Write one event whole and sync it.

        Raises OSError (no space, a failing disk); the journal then ends where it ended before.
        """
        line = event_line(event)
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut_torn_end(self) -> int:
        reading = read_journal(self.path)
        if reading.torn_bytes == 0:
            return 0
        torn = self.path.read_bytes()[reading.good_bytes :]
        write_atomically(self.path.with_suffix(".torn"), torn)
        os.truncate(self.path, reading.good_bytes)
        sync_directory(self.path.parent)
        return reading.torn_bytes
