"""A program in a pseudo-terminal whose every byte is counted and timed."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte

COLUMNS, ROWS = 80, 24
QUIET_SECONDS = 0.8
PAUSE_SECONDS = 0.2
STOP_SECONDS = 5.0


class NotShownError(Exception):
    """The program did not show what was waited for."""


class MeasuredTerminal:
    """Runs a program at 80x24 as the leader of a terminal that never answers queries."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; the clock runs from before the fork."""
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.total = 0
        """Bytes written to the terminal so far."""
        self.started = time.perf_counter()
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execve(argv[0], list(argv), dict(environment))  # noqa: S606  -- an argv list, no shell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
            self._read(0.05)
        os.close(self.descriptor)

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(self.screen.display)

    def _read(self, seconds: float) -> bytes:
        """What arrives within the time; empty when nothing did."""
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return b""
        try:
            chunk = os.read(self.descriptor, 65536)
        except OSError:
            return b""
        self.total += len(chunk)
        return chunk

    def until_shown(self, landmarks: Sequence[str], seconds: float) -> float:
        """Read until all landmarks are on the screen: seconds from the start to the chunk that brought them.

        What came is shown at pauses only, so that the emulator's own time is not measured.

        Raises:
            NotShownError: they were not in time.
        """
        chunks: list[tuple[float, bytes]] = []
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            chunk = self._read(PAUSE_SECONDS)
            if chunk:
                chunks.append((time.perf_counter() - self.started, chunk))
                continue
            arrived = None
            for when, data in chunks:
                self._stream.feed(data)
                if arrived is None and all(landmark in self.text for landmark in landmarks):
                    arrived = when
            chunks.clear()
            if arrived is not None:
                return arrived
        raise NotShownError(f"{landmarks} not shown in {seconds} s; the screen:\n{self.text}")

    def until_quiet(self, seconds: float = QUIET_SECONDS) -> int:
        """Read until nothing came for the time: the bytes read."""
        before = self.total
        while chunk := self._read(seconds):
            self._stream.feed(chunk)
        return self.total - before

    def during(self, seconds: float) -> int:
        """The bytes that arrive during the time."""
        total = 0
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            total += len(self._read(left))
        return total

    def press(self, keys: bytes) -> int:
        """Type keys: the bytes written until the terminal is quiet again."""
        os.write(self.descriptor, keys)
        return self.until_quiet()

    def last_byte_after(self, keys: bytes, seconds: float = QUIET_SECONDS) -> float:
        """Type keys: the seconds until the last byte that came before the terminal was quiet again."""
        chunks: list[bytes] = []
        pressed = arrived = time.perf_counter()
        os.write(self.descriptor, keys)
        while chunk := self._read(seconds):
            arrived = time.perf_counter()
            chunks.append(chunk)
        for chunk in chunks:
            self._stream.feed(chunk)
        return arrived - pressed

    def resident_bytes(self) -> int:
        """The program's resident memory (VmRSS of proc(5))."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024
