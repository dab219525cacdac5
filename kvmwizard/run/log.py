"""Reading a step's log while it grows: its tail, and what came since the last look."""

import errno
import os
import re
import stat
from pathlib import Path

TAIL_BYTES = 256 * 1024
"""How much of a log's end is read: the same cost for a thousand lines and for a million."""
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f]")
"""The terminal's control sequences (ECMA-48, 5.4) and control characters."""


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a log; none where there is no log yet. Raises OSError."""
    return LogFollower(path, at_end=True).read_rest()[-lines:]


class LogFollower:
    """Reads a growing file; a file that is not there yet is empty so far."""

    def __init__(self, path: Path, at_end: bool = False) -> None:
        """Begin at the start, or with `at_end` in the last `TAIL_BYTES`."""
        self.path = path
        self._at_end = at_end
        self._position = 0
        self._rest = b""
        self._lacks_beginning = False

    @property
    def unfinished(self) -> str:
        """The last line as far as it was read, while it has no end; empty where every line has one."""
        return as_shown(self._rest)

    def read(self) -> tuple[str, ...]:
        """The whole lines that came since the last call; none of what is no plain file. Raises OSError."""
        content = self.read_bytes()
        *whole, self._rest = (self._rest + content).split(b"\n")
        if self._lacks_beginning and whole:
            self._lacks_beginning = False
            del whole[0]
        return tuple(map(as_shown, whole))

    def read_rest(self) -> tuple[str, ...]:
        """What is left of a log that grows no more: a last line without its end too. Raises OSError."""
        lines = self.read()
        rest, self._rest = self._rest, b""
        return (*lines, as_shown(rest)) if rest else lines

    def read_bytes(self) -> bytes:
        """All that came since the last call, as it is in the file. Raises OSError."""
        # Not blocking, since a FIFO in the file's place would be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP}:
                return b""
            raise
        try:
            status = os.fstat(descriptor)
            return self._read_from(descriptor, status.st_size) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)

    def _read_from(self, descriptor: int, size: int) -> bytes:
        if size < self._position:
            self._position, self._rest, self._lacks_beginning = 0, b"", False
        if self._at_end and self._position == 0 and size > TAIL_BYTES:
            # Where something is skipped, the first line most likely lacks its beginning.
            self._position, self._lacks_beginning = size - TAIL_BYTES, True
        content = os.pread(descriptor, size - self._position, self._position)
        # Of more than 2 GiB pread(2) gives a part; the rest comes with the next call.
        self._position += len(content)
        return content


def as_shown(line: bytes) -> str:
    """A log line as text that cannot move the reader's cursor: what came after the last carriage return."""
    text = line.decode(errors="backslashreplace").rstrip("\r").rpartition("\r")[2]
    plain = CONTROLS.sub("", text.expandtabs(8))
    return "".join(character if character.isprintable() else " " for character in plain)
