"""The wizard's application without a terminal, on a machine as a test describes it."""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from kvmwizard.checks.judge import judge
from kvmwizard.host.facts import Facts
from kvmwizard.packages.offers import KernelOffer, PackageOffer
from kvmwizard.session import Session, SessionStore
from screens.app import WizardApp
from screens.page import Page
from screens.state import Machine, Offers, WizardState
from screens.widgets.entry_list import EntryList
from screens.widgets.frame import Notice
from tests.facts_builder import make_facts

OFFERS = Offers(
    kernel=KernelOffer(
        package="linux-image-amd64",
        version="6.12.74-2",
        installed=None,
        newer_than_running=True,
        release="6.12.74+deb13-amd64",
    ),
    qemu=PackageOffer(package="qemu-system-x86", version="1:7.2+dfsg-7", installed=None),
)


class DescribedApp(WizardApp):
    """Reads the machine that a test describes, and at once."""

    def __init__(self, state: WizardState, facts: Facts | None, offers: Offers | None) -> None:
        super().__init__(state)
        self.facts = facts
        self.offers = offers
        self.readings = 0

    def read_machine(self) -> None:
        self.readings += 1
        if self.facts is not None:
            self.post_message(self.MachineRead(Machine(self.facts, judge(self.facts))))
        if self.offers is not None:
            self.post_message(self.OffersRead(self.offers))


@dataclass
class Walk:
    """A test's hold on the wizard."""

    app: DescribedApp
    pilot: Pilot[int]
    state: WizardState

    @property
    def page(self) -> Page:
        page = self.app.current_page
        assert page is not None
        return page

    @property
    def place(self) -> str:
        """The page's name."""
        return self.page.PAGE

    @property
    def saved(self) -> Session:
        """What another wizard would load."""
        return SessionStore(self.state.state_directory).load().session

    @property
    def text(self) -> str:
        """What the terminal would show."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def notice(self) -> str:
        return self.page.query_one("#notice", Notice).text

    @property
    def entries(self) -> EntryList:
        return self.page.query_one(EntryList)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.app.workers.wait_for_complete(
                [worker for worker in self.app.workers if worker.group == "start"]
            )
            await self.pilot.pause()

    async def paste(self, text: str) -> None:
        """Text into what has the focus, at once: key by key takes a test seconds."""
        focused = self.app.screen.focused
        assert focused is not None
        focused.post_message(events.Paste(text))
        await self.pilot.pause()

    async def select(self, entry_id: str) -> None:
        ids = [entry.id for entry in self.entries.entries]
        moves = ids.index(entry_id) - self.entries.cursor
        await self.press(*(["down"] * moves if moves > 0 else ["up"] * -moves))

    async def enter_until(self, page: str) -> None:
        for _ in range(10):
            if page == self.page.PAGE:
                return
            await self.press("enter")
        raise AssertionError(f"{page} not reached; at {self.page.PAGE}: {self.notice}")


@asynccontextmanager
async def walking(  # noqa: PLR0913  -- each is one thing that a test may want different
    state_directory: Path,
    *,
    facts: Facts | None = None,
    offers: Offers | None = OFFERS,
    size: tuple[int, int] = (80, 24),
    reads: bool = True,
    opened: bool = True,
) -> AsyncIterator[Walk]:
    """The wizard on the machine; `reads=False`: it is read for ever; `opened=False`: Welcome comes first."""
    state = WizardState(state_directory)
    if opened:
        state.open()
    app = DescribedApp(state, (facts or make_facts()) if reads else None, offers if reads else None)
    try:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield Walk(app, pilot, state)
    finally:
        if state.opened:
            state.store.unlock()


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the session can be saved any more."""

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("kvmwizard.session.write_atomically", no_room)
