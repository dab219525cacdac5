"""Hands on, while a command runs, what it writes to its step's log."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kvmwizard.build.log import AttemptLog

POLL_SECONDS = 0.2


class LogFollower:
    """Hands on the log line by line, from a thread of its own, for as long as it is entered.

    The command writes the file by itself, so that nothing here can stop it; a last
    line without an end is handed on when the command has ended.
    """

    def __init__(self, log: AttemptLog, on_line: Callable[[str], None]) -> None:
        self._log = log
        self._on_line = on_line
        self._ended = threading.Event()
        self._rest = b""
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        ended = False
        while not ended:
            # Looked at before reading, so that what came last is read as well.
            ended = self._ended.wait(POLL_SECONDS)
            self._hand_on(self._log.read_new())
        self._hand_on(b"\n" if self._rest else b"")

    def _hand_on(self, content: bytes) -> None:
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            self._on_line(line.decode(errors="replace"))
