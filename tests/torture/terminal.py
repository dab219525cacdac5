"""The real wizard from this checkout in a pseudo-terminal of this machine, killed, resized and read as text.

Whatever runs in it gets a fresh state directory and never agrees to a plan that would change the machine.
"""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

import pyte

from tests.cli.command import environment
from tests.end_to_end.wizard import MOST_LINES, page_shown

CHECKOUT = Path(__file__).parents[2]
KVMWIZARD = (sys.executable, "-m", "kvmwizard")
PAGE_SECONDS = 60.0
MOVE_SECONDS = 10.0
CHUNK_BYTES = 65536
LOOK_SECONDS = 0.05
MARKED = re.compile(r"^[▸> ](?P<mark>\([●* ]\)|\[[✔x ]\]) (?P<title>\S+(?: \S+)*)")
"""A choice or a switch, up to the two spaces before what is said of it."""


class NotShownError(AssertionError):
    """The wizard did not show what was waited for; carries what it shows."""


class LocalTerminal:
    """One terminal of this machine with a program in it, which leads its session."""

    def __init__(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        *,
        encoding: str = "utf-8",
    ) -> None:
        """Start the program at 80x24; the clock runs from before the fork."""
        columns, rows = 80, 24
        self._display = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._display)
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self.raw = bytearray()
        """Every byte that the program wrote."""
        self.started = time.monotonic()
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(argv[0], list(argv), dict(variables))  # noqa: S606  -- an argv list, no shell
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._terminal)

    @property
    def screen(self) -> str:
        """The text that the terminal shows, line by line, after what has arrived by now."""
        while self._take(0):
            pass
        return "\n".join(line.rstrip() for line in self._display.display)

    @property
    def attributes(self) -> list[object]:
        """How the terminal is set (termios(3)): what a program that leaves has to restore."""
        return list(termios.tcgetattr(self._terminal))

    def _take(self, seconds: float) -> bytes:
        """What arrives within the time; empty where nothing does, or the program has let go."""
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return b""
        try:
            content = os.read(self._terminal, CHUNK_BYTES)
        except OSError:
            return b""
        self.raw += content
        self._stream.feed(self._decoder.decode(content))
        return content

    def press(self, *keys: str) -> None:
        """Type keys: text, or one of KEYS by its name."""
        os.write(self._terminal, b"".join(KEYS.get(key, key.encode()) for key in keys))

    def write(self, content: bytes) -> None:
        """Send bytes as a keyboard would."""
        os.write(self._terminal, content)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the kernel tells the program (SIGWINCH)."""
        while self._take(0):
            pass
        self._display.resize(rows, columns)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def pass_by(self, seconds: float) -> None:
        """Read on for so long, whatever comes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not self._take(left) and self.ended is not None:
                return

    def wait_for_output(self, seconds: float) -> None:
        """Read until something has come and nothing more does, or nothing comes in the time."""
        if self._take(seconds):
            while self._take(LOOK_SECONDS):
                pass

    def wait_until(self, shown: Callable[[str], bool], what: str, seconds: float = PAGE_SECONDS) -> str:
        """Read until `shown` holds for the screen, and return it.

        Raises:
            NotShownError: it did not in time, or the program has ended.
        """
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen
            if shown(screen):
                return screen
            if time.monotonic() > deadline or (self.ended is not None and not self._take(0)):
                raise NotShownError(f"{what} not shown (ended: {self.ended}); the terminal shows:\n{screen}")
            self._take(LOOK_SECONDS)

    def wait_for(self, *texts: str, seconds: float = PAGE_SECONDS) -> str:
        """Read until the screen shows all texts, its lines joined, and return it. Raises NotShownError."""
        return self.wait_until(
            lambda screen: all(text in " ".join(screen.split()) for text in texts), repr(texts), seconds
        )

    @property
    def ended(self) -> int | None:
        """The exit status, None while the program runs; a signal's number is 128 and the number."""
        if self._status is None:
            gone, status = os.waitpid(self.process, os.WNOHANG)
            if gone:
                self._status = _exit_status(status)
        return self._status

    def wait_for_end(self, seconds: float = PAGE_SECONDS) -> int:
        """Read until the program has ended, and return its exit status. Raises NotShownError."""
        deadline = time.monotonic() + seconds
        while self.ended is None:
            if time.monotonic() > deadline:
                raise NotShownError(f"not ended in {seconds} s; the terminal shows:\n{self.screen}")
            self._take(LOOK_SECONDS)
        while self._take(0):
            pass
        assert self._status is not None
        return self._status

    def kill(self) -> None:
        """kill -9, and read what the program had written before."""
        if self.ended is None:
            os.kill(self.process, signal.SIGKILL)
            self._status = _exit_status(os.waitpid(self.process, 0)[1])
        while self._take(0):
            pass

    def resident_bytes(self) -> int:
        """The program's resident memory (VmRSS of proc(5))."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def seconds_without_processor(self) -> float:
        """How long its threads that live were ready to run while others had the processors.

        The second figure of /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst), of the
        thread that waited most; 0 where the kernel does not count it.
        """
        waits = [0.0]
        for file in Path(f"/proc/{self.process}/task").glob("*/schedstat"):
            try:
                waits.append(int(file.read_text(encoding="ascii").split()[1]) / 1e9)
            except (OSError, IndexError):
                continue
        return max(waits)


KEYS = {
    # The last is what empties a line to type in: to its end, and away with what is before.
    "Enter": b"\r",
    "Escape": b"\x1b",
    "Space": b" ",
    "Up": b"\x1b[A",
    "Down": b"\x1b[B",
    "Emptied": b"\x05\x15",
}


def _exit_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def open_here(
    state: Path,
    *words: str,
    encoding: str = "utf-8",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> LocalTerminal:
    """Start the checkout's wizard on the state directory; its home is beside it."""
    argv = [*KVMWIZARD, "--state-dir", str(state), *words]
    return run_here(argv, state.parent, encoding=encoding, variables=variables)


def run_here(
    argv: Sequence[str],
    home: Path,
    *,
    encoding: str = "utf-8",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> LocalTerminal:
    """Start a program that finds the checkout, with this home."""
    settings = environment(home, PYTHONPATH=str(CHECKOUT), **variables)
    return LocalTerminal(argv, settings, encoding=encoding)


def wait_for_page_here(terminal: LocalTerminal, title: str, *, settled: bool = True) -> str:
    """Wait until the page is shown, by default with what it read of the machine, and return the screen."""
    return terminal.wait_until(
        lambda screen: page_shown(screen) == title and (not settled or is_settled(screen)), f"page {title}"
    )


def is_settled(screen: str) -> bool:
    """Whether the page has read the machine: before that, it has no line for the cursor."""
    return "Reading this machine" not in screen and cursor_line(screen) != ""


def cursor_line(screen: str) -> str:
    """The line that the cursor is on; in the list of pages one space stands behind the same sign."""
    found = re.search(r"^[▸>](?: {2,})?\S.*", screen, re.MULTILINE)
    return found[0] if found else ""


def go_to(terminal: "LocalTerminal", text: str) -> None:
    """Move the cursor to the line with the text. Raises NotShownError, as where there is none."""
    for _ in range(MOST_LINES):
        screen = terminal.screen
        now = cursor_line(screen)
        if text in now:
            return
        terminal.press("Up" if text in screen.partition(now)[0] else "Down")
        terminal.wait_until(partial(_has_moved, now), f"the cursor elsewhere than on {now}", MOVE_SECONDS)
    raise NotShownError(f"no line with {text!r} on:\n{terminal.screen}")


def _has_moved(before: str, screen: str) -> bool:
    return cursor_line(screen) not in {before, ""}


def marks(screen: str) -> dict[str, str]:
    """The marks of the choices and switches in sight, by title."""
    found = (MARKED.match(line) for line in screen.splitlines())
    return {each["title"]: each["mark"] for each in found if each}


def seconds_of_pressure() -> float:
    """How long, since the start, somebody waited for a processor of this machine's; 0 where nobody counts.

    See Documentation/accounting/psi.rst. What a program takes less what this grew by meanwhile is what it
    takes at most where nobody else is at work.
    """
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6
