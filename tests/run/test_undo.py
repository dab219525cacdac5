"""Which run undo takes back, and what of it: what the run changed, and nothing of anybody else's."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import TreeInstalled
from kvmwizard.plan.changes import (
    AclGranted,
    BootChosen,
    PackagesAdded,
    TreeAdded,
    merged_changes,
    parse_change,
    subjects,
)
from kvmwizard.plan.model import (
    Action,
    Condition,
    DeviceAclGrants,
    FileHolds,
    GrantDeviceAcl,
    GroupExists,
    PackageListsFresh,
    PackagesInstalled,
    Plan,
    RunCommand,
    Step,
    WriteFile,
)
from kvmwizard.plan.observed import (
    ObservedDeviceAccess,
    ObservedFile,
    ObservedGroup,
    ObservedPackages,
    ObservedTree,
)
from kvmwizard.run import ledger as ledger_module
from kvmwizard.run.journal import Journal
from kvmwizard.run.launch import start_runner, stop_run
from kvmwizard.run.ledger import run_ledger
from kvmwizard.run.model import (
    EventModel,
    RunEnded,
    RunnerStarted,
    RunStatus,
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
from tests.run.plans import plan_of
from tests.run.test_runner import kill, wait_for_end

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


def users_step(
    script: str, *conditions: Condition, step_id: str = "step", needs: tuple[str, ...] = ()
) -> Step:
    return Step(
        id=step_id,
        title=say("a step"),
        needs=needs,
        root=False,
        seconds=1,
        conditions=conditions,
        actions=(RunCommand(argv=("/bin/sh", "-c", script)),),
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ledger_of(store: RunStore, run_id: str) -> dict[str, tuple[str, ...]]:
    return run_ledger(store.read(run_id), lambda step_id: store.log_path(run_id, step_id))


def taken_back(plan: Plan, *, without: str = "") -> tuple[EventModel, ...]:
    """What the runner of an undo journals of its steps."""
    return tuple(
        StepDone(time=6, step=step.id, evidence=say("so"), changes=())
        for step in plan.steps
        if step.id != without
    )


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
    assert ledger_of(store, run_id) == {}
    assert last_changing_run(store) is None


def test_what_came_between_two_attempts_is_not_taken_back(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("of somebody else")
    theirs = ObservedFile(exists=True, text="of somebody else", mode=0o644, owner_id=0).model_dump_json()
    events = (started(NO_FILE), failed(), RETRY, started(theirs, attempt=2), RunStopped(time=6))
    run_id = add_run(store, file_plan(file), events)
    file.write_text("ours")
    (change,) = ledger_of(store, run_id)["step"]
    assert json.loads(change)["previous_text"] == "of somebody else"


def test_of_two_attempts_that_changed_the_same_undo_goes_back_to_before_the_first(store: RunStore) -> None:
    first = json.dumps({"kind": "file-written", "path": "/x", "previous_text": "a", "previous_mode": 420})
    second = json.dumps({"kind": "file-written", "path": "/x", "previous_text": "b", "previous_mode": 420})
    written = ObservedFile(exists=True, text="b", mode=0o644).model_dump_json()
    plan = file_plan(Path("/nowhere/x"))
    events = (started(NO_FILE), failed(first, GROUP), RETRY, started(written, attempt=2), RunStopped(time=6))
    ledger = ledger_of(store, add_run(store, plan, events))
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
    assert ledger_of(store, run_id) == {"step": (GROUP,)}


def test_a_runner_that_is_stopped_journals_what_its_step_has_changed(store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    wanted = FileHolds(path=str(file), text="all of it", mode=0o644)
    run_id = store.create(plan_of(users_step(f"echo half > {file}; sleep 60", wanted)))
    start_runner(store, run_id)
    wait_until(file.exists)
    stop_run(store, run_id)
    wait_for_end(store, run_id)
    file.write_text("of somebody else")
    (change,) = ledger_of(store, run_id)["step"]
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
    add_run(store, plan, (*taken_back(plan), END))
    assert undo_plan(store, first).undoes == first


def test_the_order_of_runs_is_that_of_their_making_whatever_the_clock_says(store: RunStore) -> None:
    first = store.create(GROUP_PLAN)
    ahead = first.replace(first[:4], f"{int(first[:4]) + 10}", 1)
    store.directory(first).rename(store.directory(first).with_name(ahead))
    made = [ahead, *(store.create(GROUP_PLAN) for _ in range(3))]
    assert list(store.runs()) == made


def test_a_stop_of_what_a_killed_runner_left_behind_journals_what_was_changed(
    store: RunStore, tmp_path: Path
) -> None:
    file, begun = tmp_path / "file", tmp_path / "begun"
    wanted = FileHolds(path=str(file), text="all of it", mode=0o644)
    run_id = store.create(plan_of(users_step(f"touch {begun}; sleep 60", wanted)))
    start_runner(store, run_id)
    wait_until(begun.exists)
    kill(store, run_id)
    start_runner(store, run_id)
    stop_run(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.STOPPED
    file.write_text("of somebody else")
    assert ledger_of(store, run_id) == {}


def test_a_stop_while_lists_are_renewed_leaves_nobody_else_s_change_to_the_step_that_waits(
    store: RunStore, tmp_path: Path
) -> None:
    file, renewing = tmp_path / "file", tmp_path / "renewing"
    wanted = PackagesInstalled(manager="apt", names=("dpkg",))
    fresh = PackageListsFresh(manager="apt", seconds=1, wanted=wanted)
    refresh = users_step(f"touch {renewing}; sleep 60", fresh, step_id="packages.refresh")
    install = users_step(
        "echo '404  Not Found'; exit 1",
        FileHolds(path=str(file), text="all of it", mode=0o644),
        needs=("packages.refresh",),
    )
    run_id = store.create(plan_of(refresh, install))
    start_runner(store, run_id)
    wait_until(renewing.exists)
    stop_run(store, run_id)
    wait_for_end(store, run_id)
    file.write_text("of somebody else")
    assert ledger_of(store, run_id) == {}


def test_what_a_killed_runner_left_at_work_is_taken_back_once_it_has_ended(
    store: RunStore, tmp_path: Path
) -> None:
    file, begun, let_go = tmp_path / "file", tmp_path / "begun", tmp_path / "let-go"
    script = (
        f"touch {begun}; timeout 30 sh -c 'until [ -e {let_go} ]; do sleep 0.02; done'; echo ours > {file}"
    )
    run_id = store.create(plan_of(users_step(script, FileHolds(path=str(file), text="ours\n", mode=0o644))))
    start_runner(store, run_id)
    wait_until(begun.exists)
    kill(store, run_id)
    with pytest.raises(RunRefused, match="is still at work"):
        undo_plan(store, run_id)
    let_go.touch()
    wait_until(lambda: store.step_at_work(run_id) is None)
    assert undo_plan(store, run_id).undoes == run_id


def test_a_step_that_nobody_saw_begin_and_whose_changes_nobody_knows_is_no_step_to_go_by(
    store: RunStore, tmp_path: Path
) -> None:
    unknown = failed().model_copy(update={"changes": None})
    wanted = FileHolds(path=str(tmp_path / "file"), text="ours", mode=0o644)
    plan = plan_of(users_step("true", wanted))
    run_id = add_run(store, plan, (unknown, RunEnded(time=9, good=False)))
    with pytest.raises(RunRefused, match="cannot be understood"):
        last_changing_run(store)
    with pytest.raises(RunRefused, match="cannot be understood"):
        undo_plan(store, run_id)
    with pytest.raises(RunRefused, match="cannot be understood"):
        start_runner(store, run_id, retry=True)


def run_of_two_changes(store: RunStore) -> str:
    """A default that was chosen, and a group that was made."""
    chosen = BootChosen(previous_default="gnulinux-old").model_dump_json()
    boot = Step(id="boot", title=say("a step"), root=True, seconds=1, conditions=(), actions=())
    events = (
        StepStarted(time=1, step="boot", attempt=1, before=()),
        StepDone(time=1, step="boot", evidence=say("so"), changes=(chosen,)),
        *(started(NO_GROUP), done(GROUP), END),
    )
    return add_run(store, plan_of(boot, *GROUP_PLAN.steps), events)


def test_what_was_wholly_taken_back_is_not_taken_back_again(store: RunStore) -> None:
    run_id = run_of_two_changes(store)
    plan = undo_plan(store, run_id)
    add_run(store, plan, (*taken_back(plan), END))
    assert last_changing_run(store) is None
    with pytest.raises(RunRefused, match="was taken back already"):
        undo_plan(store, run_id)


def test_of_an_undo_that_had_to_leave_something_only_that_is_taken_back_again(store: RunStore) -> None:
    run_id = run_of_two_changes(store)
    plan = undo_plan(store, run_id)
    in_use = StepFailed(time=7, step="undo.step", returncode=1, message=say("in use"), changes=())
    add_run(store, plan, (*taken_back(plan, without="undo.step"), in_use, END))
    assert last_changing_run(store) == run_id
    assert [step.id for step in undo_plan(store, run_id).steps] == ["undo.step"]


def test_an_undo_whose_runner_was_killed_before_its_last_word_has_taken_back_what_it_has(
    store: RunStore,
) -> None:
    changed = (started(NO_GROUP), done(GROUP), END)
    first, second = (add_run(store, GROUP_PLAN, changed) for _ in range(2))
    plan = undo_plan(store, second)
    add_run(store, plan, taken_back(plan))
    assert last_changing_run(store) == first
    assert undo_plan(store, first).undoes == first


def test_a_kernel_that_had_to_stay_is_taken_back_when_another_one_runs(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = os.uname().release
    tree = TreeAdded(name=f"linux-image-{release}", release=release).model_dump_json()
    kernel = Step(
        id="kernel",
        title=say("a step"),
        root=True,
        seconds=1,
        conditions=(TreeInstalled(name=f"linux-image-{release}", identity="0" * 64),),
        actions=(),
    )
    events = (
        *(started(NO_GROUP), done(GROUP)),
        StepStarted(time=3, step="kernel", attempt=1, before=(ObservedTree().model_dump_json(),)),
        StepDone(time=3, step="kernel", evidence=say("so"), changes=(tree,)),
        END,
    )
    run_id = add_run(store, plan_of(*GROUP_PLAN.steps, kernel), events)
    plan = undo_plan(store, run_id)
    assert [step.id for step in plan.steps] == ["undo.step"]
    add_run(store, plan, (*taken_back(plan), END))
    assert last_changing_run(store) is None
    another = os.uname_result(("Linux", "here", "9.9.9-another", "1", "x86_64"))
    monkeypatch.setattr("kvmwizard.run.undo.os.uname", lambda: another)
    assert last_changing_run(store) == run_id
    assert [step.id for step in undo_plan(store, run_id).steps] == ["undo.kernel"]


def test_access_that_an_undo_took_away_is_not_given_again_by_the_next_one(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [ObservedDeviceAccess(exists=True, entry="r--")]
    monkeypatch.setattr(ledger_module, "observe", lambda _: seen[-1].model_dump_json())
    plan = one_step(
        DeviceAclGrants(path="/dev/kvm", user="alice"), GrantDeviceAcl(path="/dev/kvm", user="alice")
    )
    granted = AclGranted(path="/dev/kvm", user="alice", previous=None).model_dump_json()
    nothing = ObservedDeviceAccess(exists=True).model_dump_json()
    ended = RunEnded(time=3, good=False)
    first = add_run(store, plan, (started(nothing), failed(granted), ended))
    add_run(store, plan, (started(seen[-1].model_dump_json()), RunStopped(time=3)))
    undo = undo_plan(store, first)
    add_run(store, undo, (*taken_back(undo), END))
    seen.append(ObservedDeviceAccess(exists=True))
    assert last_changing_run(store) is None


def test_below_a_later_run_that_cannot_be_looked_at_nothing_is_taken_back(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_run(store, GROUP_PLAN, (started(NO_GROUP), done(GROUP), END))
    add_run(store, GROUP_PLAN, (started(NO_GROUP), RunStopped(time=5)))

    def refuse(_: Condition) -> str:
        raise RunRefused(say("The groups cannot be read."))

    monkeypatch.setattr(ledger_module, "observe", refuse)
    with pytest.raises(RunRefused, match=r"The groups cannot be read\."):
        undo_plan(store, first)


UNPACKED = "Unpacking ours (1) ...\n"


def cut_off_installation(store: RunStore, monkeypatch: pytest.MonkeyPatch, before: ObservedPackages) -> str:
    """A run whose runner was gone while it installed; by now there is a package that is not its own."""
    after = ObservedPackages(installed={"foreign": "1"}, unfinished=("ours",))
    monkeypatch.setattr(ledger_module, "observe", lambda _: after.model_dump_json())
    plan = one_step(PackagesInstalled(manager="apt", names=("ours",)), RunCommand(argv=("/bin/true",)))
    return add_run(store, plan, (started(before.model_dump_json()), RunStopped(time=5)))


def test_a_package_that_the_log_does_not_tell_of_is_somebody_else_s(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = cut_off_installation(store, monkeypatch, ObservedPackages(installed={}))
    log = store.log_path(run_id, "step")
    log.parent.mkdir(exist_ok=True)
    log.write_text(f"Waiting for cache lock\n{UNPACKED}")
    (change,) = ledger_of(store, run_id)["step"]
    assert json.loads(change)["names"] == ["ours"]
    log.write_text("Waiting for cache lock\n")
    assert ledger_of(store, run_id) == {}


def test_without_a_log_a_package_that_is_new_is_taken_for_ours(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded_just_then = ObservedPackages(installed={}, unfinished=("foreign",))
    run_id = cut_off_installation(store, monkeypatch, upgraded_just_then)
    (change,) = ledger_of(store, run_id)["step"]
    assert json.loads(change)["names"] == ["ours"]
