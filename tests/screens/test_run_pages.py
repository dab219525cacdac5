"""Review and Run: what they say of plans and runs, and what undo takes back."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.plan.changes import FileWritten
from kvmwizard.plan.model import GuestRanAs, Plan, RunGuestAs, Step
from kvmwizard.run.journal import Journal
from kvmwizard.run.liveness import RunLock, boot_id
from kvmwizard.run.model import (
    EventModel,
    RestartNeeded,
    RootNeeded,
    RunEnded,
    RunStatus,
    RunStopped,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.run.text import standing as standing_in_text
from kvmwizard.run.text import step_that_matters
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import Words, say
from screens.review import summary
from screens.run import LOOK_SECONDS, RunPage
from screens.run_control import plan_undo
from screens.run_watch import RunSight, RunWatch, step_entries
from screens.standing import standing
from screens.terminal import UNICODE_SIGNS
from screens.widgets.entries import Sign
from tests.screens.pilots import fill_the_disk, walking

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
    assert step_that_matters(sight.state) == "guest"
    lists, guest = step_entries(sight, UNICODE_SIGNS, time.time())
    assert (lists.sign, lists.detail) == (Sign.WARNED, "went on without it")
    assert next(part.text for part in lists.explanation) == "No server answers."
    assert guest.aside == "0:00", "nobody knows yet how long it takes"


def test_a_run_that_went_on_without_a_step_does_not_say_that_all_is_done(state_directory: Path) -> None:
    run_id = add_run(state_directory, (*LISTS_FAILED, started("guest"), done("guest"), END))
    assert "a step failed" in str(standing(RunWatch(RunStore(state_directory), run_id).look(), ""))


def test_a_run_that_never_began_was_not_interrupted(state_directory: Path) -> None:
    run_id = add_run(state_directory, ())
    assert "has not begun" in str(standing(RunWatch(RunStore(state_directory), run_id).look(), ""))


def test_a_run_that_ended_after_it_had_skipped_a_step_was_interrupted(state_directory: Path) -> None:
    run_id = add_run(state_directory, (StepSkipped(time=1.0, step="lists", evidence=say("it is so")),))
    sight = RunWatch(RunStore(state_directory), run_id).look()
    assert "was interrupted" in str(standing_in_text(sight.state)), "kvmwizard status"
    words = str(standing(sight, ""))
    assert "was interrupted" in words
    assert "Press Enter to go on" in words


@pytest.mark.parametrize(
    ("last", "next_action"),
    [
        (started("guest"), "Press Enter to go on; steps that are done"),
        (RunStopped(time=9.0), "Press Enter to go on where it stopped."),
        (RootNeeded(time=9.0), "Press Enter to give your password again."),
        (END, "Now the proof that guests run: press Enter."),
    ],
    ids=["interrupted", "stopped", "needs-root", "done"],
)
def test_beside_a_torn_journal_it_is_said_what_to_do(
    state_directory: Path, last: EventModel, next_action: str
) -> None:
    store = RunStore(state_directory)
    events = (started("lists"), done("lists"), started("guest"), done("guest"), last)
    run_id = add_run(state_directory, events)
    with journal_path(store.directory(run_id)).open("ab") as journal:
        journal.write(b"torn")
    words = str(standing(RunWatch(store, run_id).look(), ""))
    assert next_action in words
    assert "4 bytes that are no event are left out" in words


@pytest.mark.parametrize(
    "last",
    [
        started("guest"),
        RunStopped(time=9.0),
        RootNeeded(time=9.0),
        RestartNeeded(time=9.0, boot_id=boot_id()),
        RestartNeeded(time=9.0, boot_id="6c1d8f1e-41cd-4a51-9c9d-2c5a8f6f0a11"),
        RunEnded(time=9.0, good=False),
        END,
    ],
)
def test_who_only_looks_on_is_told_of_no_key_but_the_one_for_taking_part(
    state_directory: Path, last: EventModel
) -> None:
    run_id = add_run(state_directory, (started("lists"), done("lists"), last))
    words = str(standing(RunWatch(RunStore(state_directory), run_id).look(), "", onlooker=True))
    assert "Enter" not in words
    assert words.count("press") == 1
    assert "You only look on" in words
    assert "press Esc to take part here." in words


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


async def test_an_undo_is_done_though_an_earlier_run_cannot_be_read(state_directory: Path) -> None:
    changing = (started("guest"), done("guest", CHANGE), END)
    earlier = add_run(state_directory, changing)
    undone = add_run(state_directory, changing)
    events = (started("lists"), done("lists"), started("guest"), done("guest"), END)
    add_run(state_directory, events, PLAN.model_copy(update={"undoes": undone}))
    journal_path(RunStore(state_directory).directory(earlier)).chmod(0o620)
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "Everything that could be taken back is taken back." in " ".join(walk.text.split())
        assert "u Undo" not in walk.text


async def test_that_there_is_nothing_to_take_back_is_said_beside_how_the_run_stands(
    state_directory: Path,
) -> None:
    add_run(state_directory, (started("guest"), done("guest"), END))
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        await walk.pilot.press("u")
        await walk.pilot.pause(0.6)
        assert walk.notice.startswith("There is nothing to take back")
        assert "Every step is done." in walk.text


async def test_no_undo_begins_that_the_session_does_not_name(
    state_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next wizard would open the run that it takes back, and go on with that one."""
    begun: list[str] = []

    async def begin(_app: object, _store: RunStore, run_id: str) -> None:
        begun.append(run_id)

    monkeypatch.setattr("screens.undoing.begin", begin)
    change = FileWritten(path=str(tmp_path / "made"), previous_text=None, previous_mode=None)
    add_run(state_directory, (started("guest"), done("guest", change.model_dump_json()), END))
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        await walk.pilot.press("u")
        await walk.pilot.pause(0.6)
        fill_the_disk(monkeypatch)
        await walk.pilot.press("down", "enter")
        await walk.pilot.pause(3 * LOOK_SECONDS)
        assert "No space left on device" in " ".join(walk.text.split())
    assert begun == []


async def test_why_an_undo_did_not_begin_stays_until_something_else_is_done(
    state_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> Words:
        return say("Nothing was done as root.")

    async def not_at_all(*_: object) -> bool:
        return False

    monkeypatch.setattr("screens.undoing.begin", refused)
    monkeypatch.setattr("screens.run.begin", refused)
    monkeypatch.setattr("screens.run.go_on_quietly", not_at_all)
    change = FileWritten(path=str(tmp_path / "made"), previous_text=None, previous_mode=None)
    add_run(state_directory, (started("guest"), done("guest", change.model_dump_json()), END))
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        await walk.pilot.press("u")
        await walk.pilot.pause(0.6)
        await walk.pilot.press("down", "enter")
        await walk.pilot.pause(3 * LOOK_SECONDS)
        assert walk.notice == "Nothing was done as root."
        said = " ".join(walk.text.split())
        assert "To take run" in said
        assert "back was agreed to, but has not begun. Press Enter to begin." in said
        await walk.pilot.press("enter")
        await walk.pilot.pause(0.2)
        assert not walk.notice


async def test_a_run_under_way_that_is_gone_is_neither_stopped_nor_left_running(
    state_directory: Path,
) -> None:
    directory = RunStore(state_directory).directory(add_run(state_directory, (started("guest"),)))
    lock = RunLock(directory)
    assert lock.take()
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "x Stop" in walk.text
        assert "d Leave it running" in walk.text
        directory.rename(directory.with_name("away"))
        await walk.pilot.pause(0.6)
        assert "There is no run" in walk.text
        assert "x Stop" not in walk.text
        assert "d Leave" not in walk.text
        assert "← Back" in walk.text
        assert walk.state.parting is None
        await walk.pilot.press("x")
        assert walk.app.screen is walk.page


async def test_why_a_run_cannot_be_read_is_read_in_full_on_a_small_terminal(state_directory: Path) -> None:
    run_id = add_run(state_directory, ())
    plan_file = RunStore(state_directory).directory(run_id) / "plan.json"
    plan_file.write_text("{}")
    async with walking(state_directory, size=(40, 12)) as walk:
        await walk.pilot.pause(0.6)
        assert "The run cannot be read; its line says" in walk.text
        assert "Look" not in walk.text
        await walk.pilot.press("space")
        await walk.pilot.pause()
        await walk.pilot.press("end")
        await walk.pilot.pause()
        assert "what earlier steps did stays." in " ".join(walk.text.split())


async def test_a_run_is_shown_once_it_can_be_read(state_directory: Path) -> None:
    run_id = add_run(state_directory, (started("guest"), done("guest"), END))
    journal = journal_path(RunStore(state_directory).directory(run_id))
    journal.chmod(0o620)
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "may write to" in walk.text
        journal.chmod(0o600)
        await walk.pilot.pause(0.6)
        assert "may write to" not in walk.text
        assert "Every step is done" in walk.text


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
        assert f"kvmwizard verify --state-dir {state_directory}" in str(walk.state.parting)
        await walk.pilot.press("escape")
        await walk.pilot.pause(0.3)
        assert walk.state.parting is None


async def test_when_a_run_has_ended_the_machine_is_read_again(state_directory: Path) -> None:
    """What the pages told of it was read before the run changed it."""
    run_id = add_run(state_directory, (started("lists"), RunStopped(time=4.0)))
    state = RunStore(state_directory).read(run_id)
    async with walking(state_directory) as walk:
        await walk.pilot.pause(2 * LOOK_SECONDS)
        before = walk.app.readings
        running = state.model_copy(update={"status": RunStatus.RUNNING})
        walk.page.post_message(RunPage.Seen(RunSight(running, {}, None, ())))
        await walk.pilot.pause(4 * LOOK_SECONDS)
        assert walk.app.readings == before + 1
