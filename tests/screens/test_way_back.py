"""From the Review page back to a run that is not finished."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.plan.model import Plan
from kvmwizard.run.journal import Journal
from kvmwizard.run.model import EventModel, RunEnded, RunState, RunStatus, StepFailed
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import Words, say
from tests.screens.pilots import Walk, walking
from tests.screens.test_failure import shows
from tests.screens.test_run_pages import END, PLAN, done, started

FAILED = (
    started("lists"),
    done("lists"),
    started("guest"),
    StepFailed(time=2.0, step="guest", returncode=1, message=say("No."), changes=()),
    RunEnded(time=3.0, good=False),
)


def add_run(state_directory: Path, events: Sequence[EventModel], page: str, plan: Plan = PLAN) -> str:
    store = RunStore(state_directory)
    run_id = store.create(plan)
    with Journal(journal_path(store.directory(run_id))) as journal:
        for event in events:
            journal.append(event)
    SessionStore(state_directory).save(Session.model_validate({"run_id": run_id, "page": page}))
    return run_id


async def planned(walk: Walk) -> str:
    """What the Review page shows once all of it is known."""
    shown = await shows(walk, "Carry out")
    await walk.app.workers.wait_for_complete()
    await walk.pilot.pause()
    return " ".join(walk.text.split()) or shown


async def test_from_a_failure_one_goes_back_and_returns_to_it(state_directory: Path) -> None:
    run_id = add_run(state_directory, FAILED, "run")
    async with walking(state_directory) as walk:
        await shows(walk, "A step failed: Do guest.", "Try again")
        await walk.pilot.press("escape")
        shown = await shows(walk, f"Run {run_id} is not finished; r leads to it.", "Carry out")
        assert "r To the run" in shown
        await walk.pilot.press("r")
        await shows(walk, "A step failed: Do guest.", "Try again")
    assert walk.saved.page == "run"
    assert RunStore(state_directory).runs() == (run_id,), "no other run was made"


async def test_a_session_that_opens_at_the_review_leads_to_its_run(state_directory: Path) -> None:
    run_id = add_run(state_directory, FAILED, "review")
    async with walking(state_directory, size=(40, 12)) as walk:
        await shows(walk, run_id, "r leads to it")
        await walk.pilot.press("r")
        await shows(walk, "A step failed: Do guest.")


async def test_a_run_that_is_under_way_is_led_to(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_run(state_directory, (started("lists"),), "review")
    read = RunStore.read

    def running(store: RunStore, run: str) -> RunState:
        return read(store, run).model_copy(update={"status": RunStatus.RUNNING})

    monkeypatch.setattr(RunStore, "read", running)
    async with walking(state_directory) as walk:
        await shows(walk, f"Run {run_id} is under way; r leads to it.", "r To the run")


async def test_a_run_that_is_done_is_not_gone_back_to(state_directory: Path) -> None:
    events = (started("lists"), done("lists"), started("guest"), done("guest"), END)
    add_run(state_directory, events, "review")
    async with walking(state_directory) as walk:
        shown = await planned(walk)
        assert "leads to it" not in shown
        assert "To the run" not in shown
        await walk.press("r")
        assert walk.place == "review"


async def test_an_undo_that_is_not_finished_is_called_that(state_directory: Path) -> None:
    add_run(state_directory, FAILED, "review", PLAN.model_copy(update={"undoes": "another"}))
    async with walking(state_directory) as walk:
        await shows(walk, "To take run another back is not finished; r leads to it.", "Carry out")


async def test_a_run_that_cannot_be_read_is_not_gone_back_to(state_directory: Path) -> None:
    run_id = add_run(state_directory, FAILED, "review")
    (RunStore(state_directory).directory(run_id) / "plan.json").write_text("{}")
    async with walking(state_directory) as walk:
        assert "To the run" not in await planned(walk)


async def test_a_run_that_root_was_refused_for_is_led_to(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> Words:
        return say("Nothing was done as root.")

    made = time.strftime("%Y")
    monkeypatch.setattr("screens.review.begin", refused)
    SessionStore(state_directory).save(Session(page="review"))
    async with walking(state_directory) as walk:
        assert "To the run" not in await planned(walk)
        await walk.press("enter")
        await shows(walk, "Nothing was done as root.", f"Run {made}", "has not begun; r leads to it.")
