"""Several questions at the same time, within one time limit."""

import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from kvmwizard.refusal import Refusal
from kvmwizard.words import say

Name = TypeVar("Name")
Answer = TypeVar("Answer")


class Asked(Generic[Name, Answer]):
    """Questions that are under way, each in a thread that the end of the process does not wait for."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._answers: SimpleQueue[tuple[Name, Answer | Exception]] = SimpleQueue()
        self._open: set[Name] = set()
        self._had: dict[Name, Answer | Refusal] = {}

    def ask(self, questions: Mapping[Name, Callable[[], Answer]]) -> None:
        """Ask these as well, except those that were asked before."""
        for name, question in questions.items():
            if name in self._open or name in self._had:
                continue
            self._open.add(name)
            threading.Thread(target=self._answer, args=(name, question), daemon=True).start()

    def wait_for(self, name: Name) -> Answer | Refusal:
        """One answer; a Refusal where there is none, or none in time."""
        while name in self._open and self._receive():
            pass
        if name in self._open:
            self._give_up()
        return self._had[name]

    def wait(self) -> dict[Name, Answer | Refusal]:
        """All answers, by name; a Refusal for what was not answered, or not in time."""
        while self._open and self._receive():
            pass
        self._give_up()
        return self._had

    def _receive(self) -> bool:
        """Take one answer in; False where the time is over."""
        try:
            name, answer = self._answers.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except Empty:
            return False
        if isinstance(answer, Exception) and not isinstance(answer, Refusal):
            raise answer
        if name in self._open:
            self._open.remove(name)
            self._had[name] = answer
        return True

    def _give_up(self) -> None:
        for name in self._open:
            self._had[name] = Refusal(
                say("There was no whole answer within {seconds} seconds.", seconds=round(self._seconds))
            )
        self._open.clear()

    def _answer(self, name: Name, question: Callable[[], Answer]) -> None:
        try:
            self._answers.put((name, question()))
        except Exception as error:  # noqa: BLE001  -- handed to the one who asked, and raised there
            self._answers.put((name, error))
