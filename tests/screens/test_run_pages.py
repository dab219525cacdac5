"""Review and Run: what they say of plans and runs, and what undo takes back."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.plan.model import GuestRanAs, Plan, RunGuestAs, Step
from kvmwizard.run.journal import Journal
from kvmwizard.run.model import EventModel, RunEnded, StepDone, StepFailed, StepStarted
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import Words, say
from screens.review import summary
from screens.run import standing
from screens.run_control import plan_undo
from screens.run_watch import RunWatch, step_entries, step_in_sight
from screens.terminal import UNICODE_SIGNS
from screens.widgets.entries import Sign
from tests.screens.pilots import walking

CHANGE = json.dumps({"kind": "group-created", "group": "kvm"})
END = RunEnded(time=9.0, good=True)


def step(name: str, *, required: bool = True, disk_bytes: int = 0) -> Step:
    return Step(
        id=name,
        title=say("Do {step}", step=name),
        conditions=(GuestRanAs(user="alice"),),
        actions=(RunGuestAs(user="alice", program_sha256="0" * 64),),
        root=False,
        required=required,
        seconds=30,
        disk_bytes=disk_bytes,
    )


PLAN = Plan(user="alice", qemu=None, steps=(step("lists", required=False), step("guest")))


def started(name: str) -> StepStarted:
    return StepStarted(time=time.time(), step=name, attempt=1, before=("{}",))


def done(name: str, *changes: str) -> StepDone:
    return StepDone(time=3.0, step=name, evidence=say("it is so"), changes=changes)


LISTS_FAILED = (
    started("lists"),
    StepFailed(time=2.0, step="lists", returncode=100, message=say("No server answers."), changes=()),
)


def add_run(state_directory: Path, events: Sequence[EventModel], plan: Plan = PLAN) -> str:
    store = RunStore(state_directory)
    run_id = store.create(plan)
    with Journal(journal_path(store.directory(run_id))) as journal:
        for event in events:
            journal.append(event)
    SessionStore(state_directory).save(Session(run_id=run_id, page="run"))
    return run_id


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((step("guest"),), "One step to do, about 30 seconds. Enter carries it out."),
        (
            (step("qemu", disk_bytes=5_000_000), step("guest")),
            "2 steps to do, about 30 seconds and 5 MB of disk. Enter carries them out.",
        ),
    ],
)
def test_review_sums_up_what_is_left_and_speaks_of_no_disk_that_is_not_used(
    steps: tuple[Step, ...], said: str
) -> None:
    assert str(summary(Plan(user="alice", qemu=None, steps=steps), ())) == said


def test_a_step_that_may_fail_warns_and_draws_no_look_off_the_others(state_directory: Path) -> None:
    run_id = add_run(state_directory, (*LISTS_FAILED, started("guest")))
    sight = RunWatch(RunStore(state_directory), run_id).look()
    assert step_in_sight(sight.state) == "guest"
    lists, guest = step_entries(sight, UNICODE_SIGNS, time.time())
    assert (lists.sign, lists.detail) == (Sign.WARNED, "went on without it")
    assert next(part.text for part in lists.explanation) == "No server answers."
    assert guest.aside == "0:00", "nobody knows yet how long it takes"


def test_a_run_that_went_on_without_a_step_does_not_say_that_all_is_done(state_directory: Path) -> None:
    run_id = add_run(state_directory, (*LISTS_FAILED, started("guest"), done("guest"), END))
    assert "a step failed" in str(standing(RunWatch(RunStore(state_directory), run_id).look()))


def test_a_run_that_never_began_was_not_interrupted(state_directory: Path) -> None:
    run_id = add_run(state_directory, ())
    assert "has not begun" in str(standing(RunWatch(RunStore(state_directory), run_id).look()))


async def test_undo_takes_back_the_run_that_changed_something(state_directory: Path) -> None:
    add_run(state_directory, (*LISTS_FAILED, started("guest"), done("guest", CHANGE), END))
    add_run(state_directory, (started("guest"), done("guest"), END))
    plan = await plan_undo(RunStore(state_directory))
    assert not isinstance(plan, Words)
    assert plan.undoes is not None
    assert [str(each.title) for each in plan.steps] == ["Remove the group kvm"]


async def test_undo_shows_what_it_will_do_and_asks_first(state_directory: Path) -> None:
    run_id = add_run(state_directory, (started("guest"), done("guest", CHANGE), END))
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        await walk.pilot.press("u")
        await walk.pilot.pause(0.6)
        assert "Remove the group kvm" in walk.text
        assert "▸ No, leave it" in walk.text
        await walk.pilot.press("enter")
        await walk.pilot.pause()
        assert RunStore(state_directory).runs() == (run_id,), "nothing is made before it is agreed to"


async def test_where_nothing_was_changed_undo_says_so(state_directory: Path) -> None:
    add_run(state_directory, (started("guest"), done("guest"), END))
    assert "nothing to take back" in str(await plan_undo(RunStore(state_directory)))


async def test_after_an_undo_the_run_before_can_be_taken_back_too(state_directory: Path) -> None:
    changing = (started("guest"), done("guest", CHANGE), END)
    add_run(state_directory, changing)
    undone = add_run(state_directory, changing)
    events = (started("lists"), done("lists"), started("guest"), done("guest"), END)
    add_run(state_directory, events, PLAN.model_copy(update={"undoes": undone}))
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "one before it still stands" in walk.text.replace("\n", " ")
        assert "u Undo" in walk.text


async def test_from_a_run_that_cannot_be_read_the_way_back_is_shown(state_directory: Path) -> None:
    run_id = add_run(state_directory, ())
    (RunStore(state_directory).directory(run_id) / "plan.json").write_text("{}")
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "cannot be read" in walk.text
        assert "← Back" in walk.text
        await walk.pilot.press("escape")
        await walk.pilot.pause()
        assert walk.place == "review"


async def test_the_log_of_the_selected_step_is_shown(state_directory: Path) -> None:
    run_id = add_run(state_directory, (*LISTS_FAILED, started("guest"), done("guest"), END))
    store = RunStore(state_directory)
    for name in ("lists", "guest"):
        store.log_path(run_id, name).write_text(f"printed by {name}\n", encoding="ascii")
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "l Log" in walk.text
        await walk.pilot.press("home", "l")
        await walk.pilot.pause()
        assert "printed by lists" in walk.text


async def test_whoever_leaves_a_run_is_told_how_it_stands(state_directory: Path) -> None:
    add_run(state_directory, (started("guest"), done("guest"), END))
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "kvmwizard verify" in str(walk.state.parting)
        await walk.pilot.press("escape")
        await walk.pilot.pause(0.3)
        assert walk.state.parting is None
