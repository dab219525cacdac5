"""What the commands of this attempt wrote to the step's log."""

import os

LAST_BYTES = 1024 * 1024
"""How much of the end is looked through for what went wrong."""


class AttemptLog:
    """The log from the moment this is made on; empty for a worker without one."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is `Job.log`."""
        self._descriptor = descriptor
        self._start = self._position = self._size()

    def read_new(self) -> bytes:
        """What came since the last call."""
        content = self._read(self._position, self._size())
        self._position += len(content)
        return content

    def end(self) -> str:
        """The end of what this attempt wrote so far."""
        size = self._size()
        begin = max(self._start, size - LAST_BYTES)
        return self._read(begin, size).decode(errors="backslashreplace")

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size if self._descriptor >= 0 else 0

    def _read(self, begin: int, end: int) -> bytes:
        return os.pread(self._descriptor, end - begin, begin) if end > begin else b""
