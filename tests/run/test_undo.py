"""Which run undo takes back, and what of it: what the run changed, and nothing of anybody else's."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.plan.changes import PackagesAdded, merged_changes, parse_change, subjects
from kvmwizard.plan.model import Action, Condition, FileHolds, GroupExists, Plan, RunCommand, Step, WriteFile
from kvmwizard.plan.observed import ObservedFile, ObservedGroup
from kvmwizard.run.journal import Journal
from kvmwizard.run.launch import start_runner, stop_run
from kvmwizard.run.ledger import run_ledger
from kvmwizard.run.model import (
    EventModel,
    RunEnded,
    RunnerStarted,
    RunStopped,
    StepDone,
    StepFailed,
    StepStarted,
    StepStopped,
)
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.run.undo import last_changing_run, undo_plan
from kvmwizard.words import say
from tests.run.test_runner import wait_for_end

GROUP = json.dumps({"kind": "group-created", "group": "kvm"})
NO_GROUP = ObservedGroup(exists=False).model_dump_json()
NO_FILE = ObservedFile(exists=False).model_dump_json()
END = RunEnded(time=9, good=True)
RETRY = RunnerStarted(time=5, pid=1, process_start=1, boot_id="another", retry=True)


def one_step(condition: Condition, action: Action) -> Plan:
    step = Step(
        id="step", title=say("a step"), root=True, seconds=1, conditions=(condition,), actions=(action,)
    )
    return Plan(user="root", qemu=None, steps=(step,))


GROUP_PLAN = one_step(GroupExists(group="kvm"), RunCommand(argv=("/usr/sbin/groupadd", "kvm")))


def file_plan(path: Path) -> Plan:
    return one_step(
        FileHolds(path=str(path), text="ours", mode=0o644), WriteFile(path=str(path), text="ours", mode=0o644)
    )


def started(before: str, attempt: int = 1) -> StepStarted:
    return StepStarted(time=2, step="step", attempt=attempt, before=(before,))


def failed(*changes: str) -> StepFailed:
    return StepFailed(time=4, step="step", returncode=1, message=say("No."), changes=changes)


def done(*changes: str) -> StepDone:
    return StepDone(time=4, step="step", evidence=say("so"), changes=changes)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "state")


def add_run(store: RunStore, plan: Plan, events: Sequence[EventModel]) -> str:
    run_id = store.create(plan)
    with Journal(journal_path(store.directory(run_id))) as journal:
        for event in events:
            journal.append(event)
    return run_id


def test_what_came_after_a_step_had_failed_is_not_taken_back(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    run_id = add_run(store, file_plan(file), (started(NO_FILE), failed(), RunEnded(time=9, good=False)))
    file.write_text("of somebody else")
    assert run_ledger(store.read(run_id)) == {}
    assert last_changing_run(store) is None


def test_what_came_between_two_attempts_is_not_taken_back(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("of somebody else")
    theirs = ObservedFile(exists=True, text="of somebody else", mode=0o644, owner_id=0).model_dump_json()
    events = (started(NO_FILE), failed(), RETRY, started(theirs, attempt=2), RunStopped(time=6))
    run_id = add_run(store, file_plan(file), events)
    file.write_text("ours")
    (change,) = run_ledger(store.read(run_id))["step"]
    assert json.loads(change)["previous_text"] == "of somebody else"


def test_of_two_attempts_that_changed_the_same_undo_goes_back_to_before_the_first(store: RunStore) -> None:
    first = json.dumps({"kind": "file-written", "path": "/x", "previous_text": "a", "previous_mode": 420})
    second = json.dumps({"kind": "file-written", "path": "/x", "previous_text": "b", "previous_mode": 420})
    written = ObservedFile(exists=True, text="b", mode=0o644).model_dump_json()
    plan = file_plan(Path("/nowhere/x"))
    events = (started(NO_FILE), failed(first, GROUP), RETRY, started(written, attempt=2), RunStopped(time=6))
    ledger = run_ledger(store.read(add_run(store, plan, events)))
    assert ledger == {"step": (first, GROUP)}, second


def test_packages_of_all_attempts_are_taken_back_together() -> None:
    texts = [
        PackagesAdded(manager="apt", names=names).model_dump_json() for names in (("b", "c"), ("a", "b"))
    ]
    (merged,) = merged_changes(texts[:1], texts[1:])
    assert json.loads(merged)["names"] == ["a", "b", "c"]
    shared = [subjects(parse_change(text)) for text in texts]
    assert shared[0] & shared[1] == {("packages-added", "apt", "b")}


def test_a_step_that_was_cut_off_counts_where_it_has_changed_something(
    store: RunStore, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    run_id = add_run(store, file_plan(file), (started(NO_FILE), RunStopped(time=5)))
    assert last_changing_run(store) is None
    file.write_text("half")
    assert last_changing_run(store) == run_id


def test_what_nobody_could_look_at_is_looked_at_by_the_undo(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    unknown = failed().model_copy(update={"changes": None})
    run_id = add_run(store, file_plan(file), (started(NO_FILE), unknown, RunEnded(time=9, good=False)))
    file.write_text("left behind")
    assert last_changing_run(store) == run_id


def test_what_came_after_a_step_was_stopped_is_not_taken_back(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    stopped = StepStopped(time=4, step="step", changes=(GROUP,))
    run_id = add_run(store, file_plan(file), (started(NO_FILE), stopped, RunStopped(time=5)))
    file.write_text("of somebody else")
    assert run_ledger(store.read(run_id)) == {"step": (GROUP,)}


def test_a_runner_that_is_stopped_journals_what_its_step_has_changed(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    step = Step(
        id="step",
        title=say("a step"),
        root=False,
        seconds=1,
        conditions=(FileHolds(path=str(file), text="all of it", mode=0o644),),
        actions=(RunCommand(argv=("/bin/sh", "-c", f"echo half > {file}; sleep 60")),),
    )
    run_id = store.create(Plan(user="root", qemu=None, steps=(step,)))
    start_runner(store, run_id)
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop_run(store, run_id)
    wait_for_end(store, run_id)
    file.write_text("of somebody else")
    (change,) = run_ledger(store.read(run_id))["step"]
    assert json.loads(change)["previous_text"] is None
    assert store.read(run_id).steps["step"].changes == (change,)


def test_an_undo_is_not_undone(store: RunStore) -> None:
    run_id = add_run(store, GROUP_PLAN, (started(NO_GROUP), done(GROUP), END))
    undo = add_run(store, undo_plan(store, run_id), ())
    with pytest.raises(RunRefused, match="took another one back"):
        undo_plan(store, undo)


def test_of_runs_that_changed_the_same_the_later_one_is_taken_back_before(store: RunStore) -> None:
    changed = (started(NO_GROUP), done(GROUP), END)
    first, second = (add_run(store, GROUP_PLAN, changed) for _ in range(2))
    with pytest.raises(RunRefused, match=f"kvmwizard undo {second}"):
        undo_plan(store, first)
    plan = undo_plan(store, second)
    taken_back = tuple(StepDone(time=4, step=step.id, evidence=say("so"), changes=()) for step in plan.steps)
    add_run(store, plan, (*taken_back, END))
    assert undo_plan(store, first).undoes == first


def test_the_order_of_runs_is_that_of_their_making_whatever_the_clock_says(store: RunStore) -> None:
    first = store.create(GROUP_PLAN)
    ahead = first.replace(first[:4], f"{int(first[:4]) + 10}", 1)
    store.directory(first).rename(store.directory(first).with_name(ahead))
    made = [ahead, *(store.create(GROUP_PLAN) for _ in range(3))]
    assert list(store.runs()) == made
