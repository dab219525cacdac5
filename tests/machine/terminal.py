"""A real terminal in a throwaway machine: tmux(1), driven by keys and read as text."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from tests.machine.machine import ThrowawayMachine

POLL_SECONDS = 0.05
_numbers = itertools.count()


class NotShownError(AssertionError):
    """The terminal did not show what was waited for; carries what it shows."""


class Terminal:
    """One terminal of the given size with a program in it, of one user's login.

    The login is as old as the terminal: groups that its user is given later do not
    count in it, as on a real machine.
    """

    def __init__(self, machine: ThrowawayMachine, user: str) -> None:
        """Use `open`, which starts the program."""
        self._machine = machine
        self._user = user
        self._label = f"terminal-{next(_numbers)}"

    @classmethod
    def open(
        cls,
        machine: ThrowawayMachine,
        argv: Sequence[str],
        *,
        user: str = "root",
        size: tuple[int, int] = (80, 24),
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Start `argv` in a new terminal of `size` columns and rows; it stays on screen after the end."""
        terminal = cls(machine, user)
        columns, rows = size
        settings = ("set -g status off", "set -g remain-on-exit on", "set -g remain-on-exit-format ''")
        configuration = f"/tmp/{terminal._label}.conf"
        machine.path(configuration).write_text("\n".join(settings) + "\n", encoding="ascii")
        start = ["-f", configuration, "new-session", "-d", "-x", str(columns), "-y", str(rows), "--", *argv]
        terminal._tmux(*start, env=env)
        return terminal

    def _tmux(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        result = self._machine.run(["tmux", "-L", self._label, *words], user=self._user, env=env)
        if result.returncode != 0:
            raise NotShownError(f"tmux {words}: {result.stderr}")
        return result.stdout

    def ask(self, wanted: str) -> str:
        """What tmux(1) says of the terminal, by its FORMATS."""
        return self._tmux("display-message", "-p", wanted).strip()

    @property
    def screen(self) -> str:
        """The text on the terminal, line by line."""
        return self._tmux("capture-pane", "-p")

    @property
    def ended(self) -> int | None:
        """The program's exit status, or None while it runs; a signal's number is 128 and the number."""
        asked = "#{pane_dead},#{pane_dead_status},#{pane_dead_signal},#{pid}"
        dead, status, signal, server = self.ask(asked).split(",")
        if dead != "1":
            return None
        if not status and not signal:
            # tmux 3.3a may miss the signal of a child that closed its terminal and ended at once.
            self._machine.run(["kill", "-CHLD", server])
            return None
        return int(status) if status else 128 + int(signal)

    @property
    def process(self) -> int:
        """The process number, inside the machine, of the program that was started."""
        return int(self.ask("#{pane_pid}"))

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: Up, Down, Space, Enter, Escape, or a letter."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type the text as it is."""
        self._tmux("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, *texts: str, seconds: float = 30) -> str:
        """Wait until the screen shows all texts, and return it.

        Raises:
            NotShownError: it did not in time.
        """
        return self.wait_until(lambda screen: all(text in screen for text in texts), repr(texts), seconds)

    def wait_until(self, shown: Callable[[str], bool], what: str, seconds: float = 30) -> str:
        """Wait until `shown` holds for the screen, and return it.

        Raises:
            NotShownError: it did not in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen
            if shown(screen):
                return screen
            if time.monotonic() > deadline:
                raise NotShownError(f"{what} not shown in {seconds} s; the terminal shows:\n{screen}")
            time.sleep(POLL_SECONDS)

    def wait_for_end(self, seconds: float = 30) -> int:
        """Wait until the program has ended, and return its exit status.

        Raises:
            NotShownError: it did not in time.
        """
        deadline = time.monotonic() + seconds
        while (status := self.ended) is None:
            if time.monotonic() > deadline:
                raise NotShownError(f"not ended in {seconds} s; the terminal shows:\n{self.screen}")
            time.sleep(POLL_SECONDS)
        return status

    def close(self) -> None:
        """Hang up: the program loses its terminal, as when a connection drops."""
        self._machine.run(["tmux", "-L", self._label, "kill-server"], user=self._user)
