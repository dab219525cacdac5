"""A failed run on the Run page: what is said, every choice, and that it stays until it is answered."""

import errno
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from textual.app import App

from kvmwizard.plan.build_model import CompileQemu
from kvmwizard.run.launch import start_runner
from kvmwizard.run.liveness import LOCK_NAME, LockRecord, this_process
from kvmwizard.run.model import RunEnded, RunStatus, StepFailed, StepLeftOut, StepStatus
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import Words, say
from screens import recovering
from screens.dialogs import Question, TextScreen
from screens.failure import choices, failure_in, headline, shell_folder
from screens.log_screen import LogScreen
from screens.run import LOOK_SECONDS
from screens.shell import PLAIN_SHELL, open_shell, users_shell, why_no_shell
from screens.widgets.entries import Sign
from tests.run.plans import files, plan_of, removing_step
from tests.run.test_runner import wait_for_end
from tests.screens.pilots import Walk, walking
from tests.screens.test_run_pages import PLAN, add_run, done, started

SEEN_SECONDS = 20.0


@pytest.fixture
def failed(state_directory: Path, tmp_path: Path) -> tuple[RunStore, str]:
    """The session's run: `first` fails while a file is there, `second` needs it, `other` does not."""
    first, second, other = files(tmp_path, "first", "second", "other")
    steps = (
        removing_step(first, script=f"echo out of luck; test ! -e {tmp_path}/unlucky"),
        removing_step(second, needs=("first",)),
        removing_step(other),
    )
    plan = plan_of(*(step.model_copy(update={"title": say("Do {it}", it=step.id)}) for step in steps))
    (tmp_path / "unlucky").touch()
    store = RunStore(state_directory)
    run_id = store.create(plan)
    SessionStore(state_directory).save(Session(run_id=run_id, page="run"))
    start_runner(store, run_id)
    wait_for_end(store, run_id)
    return store, run_id


async def shows(walk: Walk, *texts: str) -> str:
    """Wait until the terminal shows all texts, in whatever lines."""
    deadline = time.monotonic() + SEEN_SECONDS
    while True:
        await walk.pilot.pause(0.05)
        shown = " ".join(walk.text.split())
        if all(text in shown for text in texts):
            return shown
        assert time.monotonic() < deadline, f"{texts} not shown:\n{walk.text}"


def reports(folder: Path) -> list[Path]:
    return list(folder.glob("kvmwizard-report-*.tar.gz"))


def ids(walk: Walk) -> list[str]:
    return [entry.id for entry in walk.entries.entries]


async def test_it_says_what_failed_and_why_with_the_last_lines_and_the_choices(
    failed: tuple[RunStore, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = failed
    monkeypatch.setattr(recovering, "why_no_shell", lambda: None)
    async with walking(store.state_directory) as walk:
        shown = await shows(walk, "A step failed: Do first.", "Try again", "Skip this step")
        assert "It said last: out of luck" in shown
        assert "and one that needs it" in shown
        assert ids(walk) == ["retry", "skip", "open_shell", "undo", "save_report", "turn_over"]
        assert walk.entries.selected is not None
        assert walk.entries.selected.id == "retry"
        assert " out of luck" in map(str.rstrip, walk.text.splitlines()), "the log's end is in sight"
        await walk.pilot.press("down")
        await shows(walk, "The run ends without it, and without “Do second”")


async def test_it_stays_until_it_is_answered(failed: tuple[RunStore, str]) -> None:
    store, run_id = failed
    before = store.events(run_id)
    for _ in range(2):
        async with walking(store.state_directory) as walk:
            await shows(walk, "A step failed: Do first.", "Skip this step")
            await walk.pilot.press("a")
            await shows(walk, "its line says why")
            assert ids(walk) == ["first", "second", "other"]
            assert walk.entries.selected is not None
            assert walk.entries.selected.id == "first"
            await walk.pilot.press("a")
            await shows(walk, "Skip this step")
    assert store.events(run_id) == before


async def test_the_failed_step_s_log_is_shown_beside_the_choices(failed: tuple[RunStore, str]) -> None:
    store, _ = failed
    async with walking(store.state_directory) as walk:
        await shows(walk, "Skip this step")
        await walk.pilot.press("l")
        await shows(walk, "The end of", "first.log", "out of luck")


def writable_for_others(journal: Path) -> None:
    journal.chmod(0o620)


def moved_away(journal: Path) -> None:
    journal.rename(journal.with_suffix(".away"))


@pytest.mark.parametrize(
    ("spoil", "said"), [(writable_for_others, "may write to"), (moved_away, "holds no journal")]
)
async def test_a_failure_stays_in_sight_while_its_run_cannot_be_read(
    failed: tuple[RunStore, str], spoil: Callable[[Path], None], said: str
) -> None:
    store, run_id = failed
    journal = journal_path(store.directory(run_id))
    async with walking(store.state_directory) as walk:
        await shows(walk, "Skip this step")
        spoil(journal)
        shown = await shows(walk, said, "A step failed: Do first.", "Skip this step")
        assert "← Back" in shown
        await walk.pilot.press("t")
        await walk.pilot.press("l")
        await shows(walk, "The end of", "out of luck")
        assert isinstance(walk.app.screen, LogScreen)
        await walk.pilot.press("escape")
        if not journal.exists():
            journal.with_suffix(".away").rename(journal)
        journal.chmod(0o600)
        await walk.pilot.pause(2 * LOOK_SECONDS)
        shown = await shows(walk, "A step failed: Do first.", "Skip this step")
        assert said not in shown


async def test_trying_again_does_it(failed: tuple[RunStore, str], tmp_path: Path) -> None:
    store, run_id = failed
    async with walking(store.state_directory) as walk:
        await shows(walk, "Skip this step")
        (tmp_path / "unlucky").unlink()
        await walk.pilot.press("enter")
        await shows(walk, "Every step is done")
    assert store.read(run_id).status is RunStatus.DONE


@pytest.mark.parametrize("agreed", [True, False])
async def test_skipping_names_what_is_not_done_and_asks_first(
    failed: tuple[RunStore, str], agreed: bool
) -> None:
    store, run_id = failed
    async with walking(store.state_directory) as walk:
        await shows(walk, "Skip this step")
        await walk.pilot.press("s")
        shown = await shows(walk, "▸ No, do not skip it")
        assert "Not done either is one step that needs it:" in shown
        assert "- Do second" in shown
        await walk.pilot.press(*(["down", "enter"] if agreed else ["enter"]))
        if agreed:
            await shows(walk, "Done, without 2 steps that were skipped.")
            await walk.pilot.press("home")
            await shows(walk, "skipped it after it failed")
        else:
            await walk.pilot.pause(0.1)
            assert not [worker for worker in walk.app.workers if worker.group == "begin"]
            await shows(walk, "A step failed")
    assert any(isinstance(event, StepLeftOut) for event in store.events(run_id)) is agreed


async def test_a_shell_is_opened_where_it_failed(
    failed: tuple[RunStore, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run_id = failed
    opened: list[tuple[Path, str]] = []

    def note(_app: object, folder: Path, sentence: Words) -> None:
        opened.append((folder, sentence.english))

    monkeypatch.setattr(recovering, "why_no_shell", lambda: None)
    monkeypatch.setattr(recovering, "open_shell", note)
    async with walking(store.state_directory) as walk:
        await shows(walk, "Open a shell there")
        await walk.pilot.press("o")
        await walk.pilot.pause(0.2)
        await shows(walk, "A step failed")
    ((folder, sentence),) = opened
    assert folder == store.log_path(run_id, "first").parent
    assert "Type exit to come back to kvmwizard." in sentence


async def test_root_opens_no_shell_and_says_why(
    failed: tuple[RunStore, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = failed
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert why_no_shell() is not None
    async with walking(store.state_directory) as walk:
        await shows(walk, "Open a shell there not possible")
        await walk.pilot.press("down", "down")
        await walk.pilot.press("enter")
        await shows(walk, "opens no shell as root")


async def test_a_report_is_shown_before_it_is_written(
    failed: tuple[RunStore, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = failed
    monkeypatch.chdir(tmp_path)
    async with walking(store.state_directory) as walk:
        await shows(walk, "Save a report")
        await walk.pilot.press("r")
        await shows(walk, "Write this report to", "facts.json", "▸ No, write nothing")
        assert not reports(tmp_path)
        await walk.pilot.press("down", "enter")
        await shows(walk, "The report is in")
    (path,) = reports(tmp_path)
    with tarfile.open(path) as archive:
        assert any(name.endswith("run/logs/first.log") for name in archive.getnames())


@pytest.fixture
def held(failed: tuple[RunStore, str]) -> Iterator[SessionStore]:
    """The session of the failed run, which another wizard has."""
    holder = SessionStore(failed[0].state_directory)
    assert holder.lock()
    yield holder
    holder.unlock()


async def test_who_only_looks_on_is_told_so_and_asked_nothing(held: SessionStore) -> None:
    async with walking(held.state_directory) as walk:
        await walk.pilot.press("enter")
        shown = await shows(walk, "its line says why", "You only look on", "out of luck")
        assert not any(key in shown for key in ("a Answer", "Press a ", "Enter", "x Stop"))
        for key in ("s", "t", "u", "o", "a", "enter"):
            await walk.pilot.press(key)
        await walk.pilot.pause(2 * LOOK_SECONDS)
        assert not isinstance(walk.app.screen, Question)
        assert ids(walk) == ["first", "second", "other"]
        assert "You only look on" in walk.text


async def test_who_looks_on_can_take_part_once_the_other_wizard_is_gone(held: SessionStore) -> None:
    async with walking(held.state_directory) as walk:
        await walk.pilot.press("enter")
        await shows(walk, "You only look on", "← Take part")
        await walk.pilot.press("escape")
        await shows(walk, "Try again", "End the other one")
        held.unlock()
        await walk.pilot.press("down", "enter")
        await shows(walk, "A step failed: Do first.", "Skip this step", "← Back")


def test_an_undo_s_step_cannot_be_skipped_and_says_why(state_directory: Path) -> None:
    undo = PLAN.model_copy(update={"undoes": "another"})
    failing = StepFailed(time=2.0, step="guest", returncode=1, message=say("No."), changes=())
    run_id = add_run(state_directory, (started("guest"), failing, RunEnded(time=3.0, good=False)), undo)
    failure = failure_in(RunStore(state_directory).read(run_id))
    assert failure is not None
    offered = choices(failure, shell=state_directory, undo=False, unverified=None)
    assert [entry.id for entry in offered] == ["retry", "skip", "open_shell", "save_report", "turn_over"]
    assert offered[1].sign is Sign.NOT_APPLICABLE
    assert "No step of an undo" in offered[1].explanation[0].text
    assert str(headline(failure)) == "A step failed: Do guest. No."
    assert "the first of 3" in str(headline(replace(failure, failed=3)))


def test_no_failure_is_seen_in_a_run_that_stands_otherwise(state_directory: Path) -> None:
    run_id = add_run(state_directory, (started("guest"), done("guest"), RunEnded(time=3.0, good=True)))
    state = RunStore(state_directory).read(run_id)
    assert state.steps["guest"].status is StepStatus.DONE
    assert failure_in(state) is None


def test_the_shell_s_folder_is_where_it_was_built(tmp_path: Path) -> None:
    build, log = tmp_path / "qemu" / "build", tmp_path / "logs" / "a.log"
    action = CompileQemu(
        identity="0" * 64,
        stamp=str(tmp_path / "stamp"),
        tree=str(tmp_path / "qemu" / "source"),
        build=str(build),
        programs=("qemu-system-x86_64",),
        jobs=1,
    )
    step = PLAN.steps[1].model_copy(update={"actions": (action,)})
    plan = PLAN.model_copy(update={"steps": (step,), "build_folder": str(tmp_path)})
    assert shell_folder(plan, step, log) == tmp_path
    build.mkdir(parents=True)
    assert shell_folder(plan, step, log) == build
    assert shell_folder(PLAN, PLAN.steps[1], log) == log.parent


def test_a_folder_that_must_not_be_looked_at_is_not_the_shell_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = CompileQemu(
        identity="0" * 64,
        stamp=str(tmp_path / "stamp"),
        tree=str(tmp_path / "hidden" / "source"),
        build=str(tmp_path / "hidden" / "build"),
        programs=("qemu-system-x86_64",),
        jobs=1,
    )
    step = PLAN.steps[1].model_copy(update={"actions": (action,)})
    look = os.stat

    def hiding(path: Any, **options: Any) -> os.stat_result:
        if "hidden" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return look(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", hiding)
        assert shell_folder(PLAN, step, tmp_path / "logs" / "a.log") == tmp_path / "logs"


def test_the_sentence_before_the_shell_breaks_between_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("sys.__stdin__", None)
    monkeypatch.setenv("SHELL", "/bin/true")
    app = SimpleNamespace(suspend=nullcontext)
    sentence = " ".join(["unbroken"] * 40)
    assert open_shell(cast("App[int]", app), tmp_path, say("{text}", text=sentence)) is None
    lines = terminal.getvalue().splitlines()
    assert {word for line in lines[:-1] for word in line.split()} == {"unbroken"}
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("wanted", "used"), [("/bin/sh", "/bin/sh"), ("sh", None), ("/nonexistent", None)])
def test_the_shell_is_the_person_s_own(
    monkeypatch: pytest.MonkeyPatch, wanted: str, used: str | None
) -> None:
    monkeypatch.setenv("SHELL", wanted)
    found = users_shell()
    assert found == used or (used is None and found != wanted and Path(found).is_absolute())
    assert Path(PLAIN_SHELL).exists()


async def test_a_refusal_is_said_beside_what_failed(
    failed: tuple[RunStore, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> Words:
        return say("Nothing was done as root.")

    monkeypatch.setattr("screens.run.begin", refused)
    store, _ = failed
    async with walking(store.state_directory) as walk:
        await shows(walk, "Try again")
        await walk.pilot.press("t")
        await shows(walk, "Nothing was done as root. A step failed: Do first.", "Skip this step")


async def test_why_trying_again_came_to_nothing_is_said_before_what_failed(
    failed: tuple[RunStore, str],
) -> None:
    store, run_id = failed
    gone = this_process().model_copy(update={"process_start": 0})
    async with walking(store.state_directory) as walk:
        await shows(walk, "Try again")
        record = LockRecord(holder=gone, problem=say("The disk is full."))
        (store.directory(run_id) / LOCK_NAME).write_text(record.model_dump_json(), encoding="ascii")
        await shows(walk, "The disk is full. A step failed: Do first.", "Skip this step")


async def test_of_a_failure_that_cannot_be_read_nothing_is_done(failed: tuple[RunStore, str]) -> None:
    store, run_id = failed
    directory = store.directory(run_id)
    async with walking(store.state_directory) as walk:
        await shows(walk, "Skip this step")
        directory.rename(directory.with_name("away"))
        await shows(walk, "There is no run", "What is listed is how it stood before.", "← Back")
        for key in ("s", "t", "u", "o", "enter"):
            await walk.pilot.press(key)
        await shows(walk, "Why not", "There is no run")
        assert isinstance(walk.app.screen, TextScreen), "what was chosen is explained instead"
        assert not [worker for worker in walk.app.workers if worker.group in ("begin", "undo", "shell")]


@pytest.mark.parametrize(
    ("log", "said"),
    [(None, "There is no log of “Do first” in"), ("", "“Do first” has printed nothing so far.")],
    ids=["missing", "empty"],
)
async def test_of_a_step_without_a_log_it_is_said_that_there_is_none(
    failed: tuple[RunStore, str], log: str | None, said: str
) -> None:
    store, run_id = failed
    path = store.log_path(run_id, "first")
    path.unlink()
    if log is not None:
        path.write_text(log, encoding="ascii")
    async with walking(store.state_directory) as walk:
        await shows(walk, "Skip this step")
        await walk.pilot.press("l")
        await shows(walk, said, "A step failed: Do first.", "Skip this step")
