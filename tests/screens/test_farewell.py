"""What is left on the terminal after the wizard: what is not saved is not said to be."""

import errno
import os
from pathlib import Path

import pytest

from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say
from screens.app import farewell
from tests.screens.pilots import Walk, walking
from tests.screens.test_run_pages import PLAN
from tests.screens.test_walk import NO_QEMU

SAVED = "Your answers are saved; kvmwizard opens again where you were."


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("kvmwizard.session.write_atomically", no_room)


def said(walk: Walk) -> str:
    return " ".join(map(str, farewell(walk.app)))


async def test_what_a_full_disk_kept_from_being_saved_is_named(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with walking(state_directory, facts=NO_QEMU) as walk:
        await walk.enter_until("qemu_options")
        assert said(walk) == SAVED
        with monkeypatch.context() as full:
            fill_the_disk(full)
            await walk.press("space")
            assert "No space left on device" in walk.notice
            assert SAVED not in said(walk)
            assert "Not saved is what you did last on: QEMU options." in said(walk)
            assert "opens again with what was saved before" in said(walk)
            assert "No space left on device. Make room" in said(walk)
            walk.state.parting = say("The run is done.")
            assert said(walk).startswith("The run is done. Not saved is")
            walk.app.fault = say("The details are elsewhere.")
            assert "Your answers are saved" not in said(walk)
            assert "The details are elsewhere. Not saved is" in said(walk)
            walk.app.fault = walk.state.parting = None
        await walk.press("space")
        assert said(walk) == SAVED
        assert not walk.notice, "what no longer holds is no longer said"


async def test_where_only_the_page_is_not_saved_that_is_said(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with walking(state_directory, facts=NO_QEMU) as walk:
        await walk.enter_until("review")
        fill_the_disk(monkeypatch)
        await walk.press("escape")
        assert walk.place == "access"
        assert "answers are saved, but not at which page you were" in said(walk)
        assert "No space left on device" in said(walk)


async def test_a_run_that_the_saved_session_does_not_name_is_told_of(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SessionStore(state_directory).save(Session(page="access"))
    async with walking(state_directory, facts=NO_QEMU) as walk:
        run_id = RunStore(state_directory).create(PLAN)
        fill_the_disk(monkeypatch)
        await walk.app.save(walk.state.session.model_copy(update={"run_id": run_id, "page": "run"}))
        assert "Not saved is what you did last on: Run." in said(walk)
