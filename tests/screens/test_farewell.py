"""What is left on the terminal after the wizard: what is not saved is not said to be."""

import re
from pathlib import Path

import pytest

from kvmwizard.run.model import RunStatus
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import Words, say
from screens.app import farewell
from screens.dialogs import TextScreen
from screens.run_watch import RunSight
from screens.standing import parting, standing
from tests.screens.pilots import Walk, fill_the_disk, walking
from tests.screens.test_run_pages import PLAN
from tests.screens.test_walk import NO_QEMU


def said(walk: Walk) -> str:
    return " ".join(map(str, farewell(walk.app)))


async def test_what_a_full_disk_kept_from_being_saved_is_named(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = f"Your answers are saved; kvmwizard --state-dir {state_directory} opens again where you were."
    async with walking(state_directory, facts=NO_QEMU) as walk:
        await walk.enter_until("qemu_options")
        assert said(walk) == saved
        with monkeypatch.context() as full:
            fill_the_disk(full)
            await walk.press("space")
            assert "No space left on device" in walk.notice
            assert saved not in said(walk)
            assert "Not saved is what you did last on: QEMU options." in said(walk)
            assert f"kvmwizard --state-dir {state_directory} opens again with what was saved" in said(walk)
            assert "No space left on device. Make room" in said(walk)
            walk.state.parting = say("The run is done.")
            assert said(walk).startswith("The run is done. Not saved is")
            walk.app.fault = say("The details are elsewhere.")
            assert "Your answers are saved" not in said(walk)
            assert "The details are elsewhere. Not saved is" in said(walk)
            walk.app.fault = walk.state.parting = None
        await walk.press("space")
        assert said(walk) == saved
        assert not walk.notice, "what no longer holds is no longer said"


@pytest.mark.parametrize("page", [None, say("The run goes on by itself.")], ids=["a page", "the run's page"])
async def test_who_is_ended_by_another_is_told(state_directory: Path, page: Words | None) -> None:
    async with walking(state_directory, facts=NO_QEMU) as walk:
        walk.state.parting = page
        walk.app._ended_from_outside()
        told, rest = said(walk).split(". ", maxsplit=1)
        assert told == "kvmwizard was told to end, maybe by another one that goes on in its place"
        assert rest.startswith("Your answers are saved; kvmwizard" if page is None else str(page))


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


async def test_where_no_directory_was_chosen_commands_name_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with walking(tmp_path / "kvmwizard") as walk:
        await walk.enter_until("hardware")
        assert said(walk) == "Your answers are saved; kvmwizard opens again where you were."


async def test_a_directory_s_name_is_quoted_as_a_shell_takes_it(tmp_path: Path) -> None:
    async with walking(tmp_path / "of mine") as walk:
        assert walk.state.directory_option == f" --state-dir '{tmp_path}/of mine'"


@pytest.mark.parametrize(
    ("status", "commands"),
    [
        (
            RunStatus.RUNNING,
            ["kvmwizard --state-dir /mnt/answers", "kvmwizard status --state-dir /mnt/answers"],
        ),
        (RunStatus.DONE, ["kvmwizard verify --state-dir /mnt/answers"]),
        (RunStatus.NEEDS_RESTART, ["kvmwizard --state-dir /mnt/answers"]),
        (RunStatus.STOPPED, ["kvmwizard --state-dir /mnt/answers"]),
    ],
)
def test_whoever_leaves_a_run_is_given_commands_that_find_it(
    state_directory: Path, status: RunStatus, commands: list[str]
) -> None:
    store = RunStore(state_directory)
    run = store.read(store.create(PLAN)).model_copy(update={"status": status})
    words = str(parting(run, " --state-dir /mnt/answers"))
    assert re.findall(r"kvmwizard[a-z ]* --state-dir /mnt/answers", words) == commands
    assert words.count("kvmwizard") == len(commands)


def test_what_opens_the_wizard_after_a_restart_finds_the_run(state_directory: Path) -> None:
    store = RunStore(state_directory)
    run = store.read(store.create(PLAN)).model_copy(update={"status": RunStatus.NEEDS_RESTART})
    words = standing(RunSight(run, {}, None, ()), " --state-dir /mnt/answers")
    assert "open the wizard again: kvmwizard --state-dir /mnt/answers." in str(words)


async def test_keys_pressed_in_the_moment_of_leaving_open_nothing(state_directory: Path) -> None:
    """Textual mounts nothing any more then: a dialog would miss its widgets, and be called a mistake."""
    async with walking(state_directory) as walk:
        walk.app.exit(0)
        assert not await walk.app.run_action("help")
        walk.app.push_screen(TextScreen("Help", ()))
    assert walk.app.return_value == 0
    assert walk.app.fault is None
