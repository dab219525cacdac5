"""Hostile texts given to every line of the wizard: taken whole or refused, and shown harmlessly."""

from pathlib import Path

import pytest
from textual.widgets import Input

from screens.build_page import BuildPage
from screens.mirrors import FIELDS, MirrorsScreen
from screens.text_dialog import TextDialog
from screens.widgets.entry_list import EntryList
from tests.conftest import Counts, Tries
from tests.screens.pilots import Walk, walking
from tests.screens.test_build_pages import at
from tests.torture.bad_files import is_safe
from tests.torture.hostile import payloads
from tests.torture.trial import Trial

ALL = 200
PAGES = ("kernel_build", "qemu_build")


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def what_is_shown(walk: Walk) -> list[str]:
    """Every piece of text that is sent to the terminal."""
    strips = walk.app.screen._compositor.render_strips()
    return [segment.text for strip in strips for segment in strip if not segment.control]


async def give(walk: Walk, text: str) -> bool:
    """Give the text to the dialog that is open; whether it was taken."""
    dialog = walk.app.screen
    assert isinstance(dialog, TextDialog)
    while not dialog.query(Input):
        await walk.pilot.pause(0.01)
    dialog.query_one(Input).value = ""
    await walk.paste(text)
    given = dialog.query_one(Input).value
    await walk.press("enter")
    await walk.app.workers.wait_for_complete()
    await walk.pilot.pause()
    assert all(is_safe(piece) for piece in what_is_shown(walk)), repr(given)
    if walk.app.screen is not dialog:
        return True
    await walk.press("escape")
    return False


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
async def test_every_line_of_the_build_pages(
    tmp_path: Path, page: str, tries: Tries, counts: Counts, seed: int
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    trial, taken = Trial(), 0
    async with walking(at(state, page)) as walk:  # type: ignore[arg-type]  # one of the names
        shown = walk.page
        assert isinstance(shown, BuildPage)
        for text in payloads(tries(short=1, full=ALL), seed):
            for field in shown.TYPED:
                with trial.of(f"{field}, {text!r}"):
                    shown.ask(field)
                    await walk.pilot.pause()
                    taken += await give(walk, text)
                    assert walk.place == page
                    assert walk.saved.page == page
                    assert all(is_safe(piece) for piece in what_is_shown(walk))
    counts(f"hostile texts typed on {page}", **trial.figures, taken=taken)
    assert trial.amiss == []


async def test_every_line_about_where_sources_come_from(
    tmp_path: Path, tries: Tries, counts: Counts, seed: int
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    trial, taken = Trial(), 0
    async with walking(at(state, "kernel")) as walk:
        for project in FIELDS:
            walk.app.push_screen(MirrorsScreen(project, None))
            await walk.pilot.pause()
            mirrors = walk.app.screen
            entries = mirrors.query_one(EntryList)
            for text in payloads(tries(short=1, full=ALL), seed):
                await walk.press("home")
                for field in FIELDS[project]:
                    with trial.of(f"{field}, {text!r}"):
                        await walk.press("space")
                        taken += await give(walk, text)
                        assert walk.app.screen is mirrors
                    await walk.press("down")
            assert entries.entries
            await walk.press("escape")
    counts("hostile texts typed for mirrors", **trial.figures, taken=taken)
    assert trial.amiss == []
