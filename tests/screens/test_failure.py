"""A failed run on the Run page: what is said, every choice, and that it stays until it is answered."""

import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import CompileQemu
from kvmwizard.run.launch import start_runner
from kvmwizard.run.model import RunEnded, RunStatus, StepFailed, StepLeftOut, StepStatus
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import Words, say
from screens import recovering
from screens.dialogs import Question
from screens.failure import choices, failure_in, headline, shell_folder
from screens.shell import PLAIN_SHELL, users_shell, why_no_shell
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


async def test_who_only_looks_on_is_asked_nothing(failed: tuple[RunStore, str]) -> None:
    store, _ = failed
    holder = SessionStore(store.state_directory)
    assert holder.lock()
    try:
        async with walking(store.state_directory) as walk:
            await walk.pilot.press("enter")
            await walk.pilot.press("enter")
            for _ in range(40):
                await walk.pilot.pause(0.05)
                if walk.app.screen.query("EntryList#steps"):
                    break
            await walk.pilot.press("s", "t", "u", "o")
            assert not isinstance(walk.app.screen, Question)
    finally:
        holder.unlock()


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
