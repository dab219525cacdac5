"""Reading a step's log while it grows: its tail, and what came since the last look."""

import os
from collections import deque
from pathlib import Path

TAIL_BYTES = 256 * 1024
"""How much of a log's end is read: the same cost for a thousand lines and for a million."""


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a log; none where there is no log yet. Raises OSError."""
    return LogFollower(path, lines).read()


class LogFollower:
    """Reads a growing file by whole lines; a file that is not there yet is empty so far."""

    def __init__(self, path: Path, lines: int | None = None) -> None:
        """Begin `lines` lines before the end, within the last `TAIL_BYTES`; None begins at the start."""
        self.path = path
        self._lines = lines
        self._position = 0
        self._rest = b""
        self._begun = False

    def read(self) -> tuple[str, ...]:
        """The lines that came since the last call. Raises OSError.

        A last line without its end is held back, except at the first call.
        """
        try:
            with self.path.open("rb") as file:
                return self._read_from(file.fileno())
        except FileNotFoundError:
            return ()

    def read_rest(self) -> tuple[str, ...]:
        """What is left of a log that grows no more: a last line without its end too. Raises OSError."""
        lines = self.read()
        rest, self._rest = self._rest, b""
        return (*lines, as_shown(rest)) if rest else lines

    def _read_from(self, descriptor: int) -> tuple[str, ...]:
        size = os.fstat(descriptor).st_size
        if size < self._position:
            self._position, self._rest = 0, b""
        skipped = self._skip_to_tail(size)
        content = self._rest + os.pread(descriptor, size - self._position, self._position)
        self._position = size
        *whole, self._rest = content.split(b"\n")
        if skipped:
            # The tail most likely begins in the middle of a line.
            whole = whole[1:]
        lines = [as_shown(line) for line in whole]
        if self._begun or self._lines is None:
            self._begun = True
            return tuple(lines)
        self._begun = True
        if self._rest:
            lines.append(as_shown(self._rest))
            self._rest = b""
        return tuple(deque(lines, maxlen=self._lines))

    def _skip_to_tail(self, size: int) -> bool:
        if self._begun or self._lines is None or size <= TAIL_BYTES:
            return False
        self._position = size - TAIL_BYTES
        return True


def as_shown(line: bytes) -> str:
    """A log line as text that cannot move the reader's cursor: what came after the last carriage return."""
    text = line.decode(errors="backslashreplace").rstrip("\r").rpartition("\r")[2]
    return "".join(character if character.isprintable() else " " for character in text.expandtabs(8))
