"""A step's log over the whole terminal, growing as the step prints."""

import asyncio
from collections import deque
from pathlib import Path

from kvmwizard.run.log import LogFollower
from kvmwizard.words import _
from screens.dialogs import TextLines, TextScreen
from screens.run_watch import KEPT_LINES

LOOK_SECONDS = 0.25


class LogScreen(TextScreen):
    """The end of a log. While its last line is in sight, it goes on with what comes."""

    def __init__(self, path: Path) -> None:
        super().__init__(_("The end of {path}", path=str(path)), (), at_end=True)
        self._follower = LogFollower(path, at_end=True)
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)

    def on_mount(self) -> None:
        """Begin to follow."""
        self.run_worker(self._follow(), group="log", exclusive=True)

    async def _follow(self) -> None:
        shown: tuple[str, ...] = ()
        while True:
            try:
                self._kept.extend(filter(str.strip, await asyncio.to_thread(self._follower.read)))
            except OSError:
                # What was read stays to be looked at.
                return
            unfinished = self._follower.unfinished
            lines = (*self._kept, *((unfinished,) if unfinished.strip() else ()))
            if lines != shown:
                shown = lines
                self.query_one(TextLines).show(tuple(("", text) for text in lines))
            await asyncio.sleep(LOOK_SECONDS)
