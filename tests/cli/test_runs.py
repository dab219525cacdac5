"""What status, log, apply and undo make of runs, as a runner leaves them in a state directory."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.commands import carry_out
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State
from kvmwizard.paths import directory_option
from kvmwizard.plan.model import GuestRanAs, Plan, RunGuestAs, Step
from kvmwizard.run.journal import Journal
from kvmwizard.run.model import (
    EventModel,
    RootNeeded,
    RunEnded,
    RunStopped,
    StepDone,
    StepFailed,
    StepStarted,
)
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.run.undo import last_changing_run
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say
from tests.cli.command import kvmwizard

NO_PROGRAM = "0" * 64
CHANGE = json.dumps({"kind": "group-created", "group": "kvm"})


def step(step_id: str) -> Step:
    return Step(
        id=step_id,
        title=say("Do {step}", step=step_id),
        root=False,
        seconds=1,
        conditions=(GuestRanAs(user="root"),),
        actions=(RunGuestAs(user="root", program_sha256=NO_PROGRAM),),
    )


PLAN = Plan(user="root", qemu=None, steps=(step("first"), step("second")))
UNDO = PLAN.model_copy(update={"undoes": "another"})


def started(step_id: str) -> StepStarted:
    return StepStarted(time=2.0, step=step_id, attempt=1, before=("{}",))


def done(step_id: str, *changes: str) -> StepDone:
    return StepDone(time=3.0, step=step_id, evidence=say("it is so"), changes=changes)


FAILED = StepFailed(time=4.0, step="second", returncode=100, message=say("The disk is full."), changes=())
FAILED_HALFWAY = FAILED.model_copy(update={"changes": (CHANGE,)})
BEGUN = (started("first"), done("first"), started("second"))


def add_run(home: Path, events: Sequence[EventModel] = (), plan: Plan = PLAN) -> tuple[RunStore, str]:
    """A run whose journal says this, as the session's run."""
    state = home / ".local/state/kvmwizard"
    store = RunStore(state)
    run_id = store.create(plan)
    with Journal(journal_path(store.directory(run_id))) as journal:
        for event in events:
            journal.append(event)
    SessionStore(state).save(Session(run_id=run_id, page="run"))
    return store, run_id


@pytest.mark.parametrize(
    ("events", "code", "standing", "advice"),
    [
        ((), 3, "was agreed to, but has not begun", "To go on: kvmwizard apply"),
        (BEGUN, 3, "was interrupted", "To go on: kvmwizard apply"),
        ((*BEGUN, RunStopped(time=5.0)), 3, "was stopped", "To go on: kvmwizard apply"),
        ((RootNeeded(time=5.0),), 3, "waits for root", "To give the password again"),
        ((*BEGUN, FAILED, RunEnded(time=5.0, good=False)), 1, "failed", "kvmwizard log second"),
        ((*BEGUN, done("second"), RunEnded(time=5.0, good=True)), 0, "is done", ""),
    ],
    ids=["not begun", "interrupted", "stopped", "needs root", "failed", "done"],
)
def test_status_says_how_a_run_stands_and_what_to_do(
    tmp_path: Path, events: Sequence[EventModel], code: int, standing: str, advice: str
) -> None:
    _, run_id = add_run(tmp_path, events)
    result = kvmwizard(tmp_path, "status")
    assert result.returncode == code
    assert result.stdout.startswith(f"Run {run_id} {standing}")
    assert "Do first  [first]" in result.stdout
    assert advice in result.stdout
    report = json.loads(kvmwizard(tmp_path, "status", "--json").stdout)["run"]
    assert report["id"] == run_id
    assert [each["id"] for each in report["steps"]] == ["first", "second"]


def test_a_failure_is_told_with_its_message(tmp_path: Path) -> None:
    add_run(tmp_path, (*BEGUN, FAILED, RunEnded(time=5.0, good=False)))
    assert "✖ Do second  [second]\n  The disk is full.\n" in kvmwizard(tmp_path, "status").stdout


def test_a_failure_that_the_rest_is_good_without_is_a_warning(tmp_path: Path) -> None:
    optional = PLAN.steps[1].model_copy(update={"required": False})
    plan = PLAN.model_copy(update={"steps": (PLAN.steps[0], optional)})
    add_run(tmp_path, (*BEGUN, FAILED, RunEnded(time=5.0, good=True)), plan)
    assert "! Do second  [second]\n  The disk is full.\n" in kvmwizard(tmp_path, "status").stdout


def test_advice_for_an_undo_is_undo(tmp_path: Path) -> None:
    add_run(tmp_path, (*BEGUN, RunStopped(time=5.0)), UNDO)
    assert "To go on: kvmwizard undo" in kvmwizard(tmp_path, "status").stdout


def test_a_run_that_took_another_back_names_that_one(tmp_path: Path) -> None:
    add_run(tmp_path, (*BEGUN, done("second"), RunEnded(time=5.0, good=True)), UNDO)
    said = kvmwizard(tmp_path, "status").stdout
    assert said.startswith("What could be taken back of run another is taken back.\n")


def test_who_takes_a_run_back_is_told_of_the_one_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changed = (*BEGUN, done("second", CHANGE), RunEnded(time=5.0, good=True))
    store, first = add_run(tmp_path, changed)
    _, second = add_run(tmp_path, changed)
    saved = State.of(Options(state_dir=store.state_directory))
    carry_out._explain(saved, store.read(add_undo(tmp_path, second, WHOLE)), Options())
    said = "".join(capfd.readouterr().out.split())
    command = f"kvmwizard undo{directory_option(store.state_directory)}"
    assert said == f"Run {first} still stands. To take that back, too: {command}".replace(" ", "")
    carry_out._explain(saved, store.read(add_undo(tmp_path, first, WHOLE)), Options())
    assert capfd.readouterr().out == ""


def test_of_a_qemu_whose_installation_was_skipped_the_proof_says_that_none_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = PLAN.model_copy(update={"qemu": str(tmp_path / "skipped/qemu-system-x86_64")})
    store, run_id = add_run(tmp_path, (*BEGUN, done("second"), RunEnded(time=5.0, good=True)), plan)
    monkeypatch.setattr(carry_out, "chosen_qemu", lambda _: None)
    carry_out._proved(store.read(run_id), Options())
    said = " ".join(capfd.readouterr().out.split())
    assert "No QEMU was found on this machine" in said
    assert "broken" not in said


def test_advice_names_the_state_directory_that_was_asked_for(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, (*BEGUN, FAILED_HALFWAY, RunEnded(time=5.0, good=False)))
    asked = tmp_path / "asked for"
    store.state_directory.rename(asked)
    lines = kvmwizard(tmp_path, "status", "--state-dir", asked).stdout.replace("\n", " ")
    for command in ("log second", "apply", "apply --skip second", f"undo {run_id}"):
        assert f"kvmwizard {command} --state-dir '{asked}'" in lines


def test_what_a_run_that_changed_nothing_is_not_told_to_take_back(tmp_path: Path) -> None:
    add_run(tmp_path, (*BEGUN, FAILED, RunEnded(time=5.0, good=False)))
    assert "kvmwizard undo" not in kvmwizard(tmp_path, "status").stdout


def test_an_undo_that_nobody_agreed_to_leaves_no_run(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, (*BEGUN, done("second", CHANGE), RunEnded(time=5.0, good=True)))
    result = kvmwizard(tmp_path, "undo")
    assert result.returncode == 2
    assert f"What will be taken back of run {run_id}" in result.stdout
    assert store.runs() == (run_id,)


def test_of_a_session_that_was_lost_apply_goes_on_with_the_run_that_status_tells_of(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, (*BEGUN, FAILED, RunEnded(time=5.0, good=False)))
    (store.state_directory / "session.json").unlink()
    assert f"Run {run_id} failed." in kvmwizard(tmp_path, "status").stdout
    skipped = kvmwizard(tmp_path, "apply", "--skip", "second")
    assert "Not done will be: Do second" in skipped.stdout, skipped.stderr


def test_a_plan_that_is_gone_is_told_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path)
    (store.directory(run_id) / "plan.json").unlink()
    result = kvmwizard(tmp_path, "status")
    assert (result.returncode, result.stdout) == (2, "")
    assert "Begin a new run from Review" in result.stderr


def test_an_earlier_run_is_taken_back_past_one_that_cannot_be_read(tmp_path: Path) -> None:
    _, first = add_run(tmp_path, (*BEGUN, done("second", CHANGE), RunEnded(time=5.0, good=True)))
    store, second = add_run(tmp_path)
    (store.directory(second) / "plan.json").unlink()
    assert kvmwizard(tmp_path, "undo").returncode == 2
    assert f"What will be taken back of run {first}" in kvmwizard(tmp_path, "undo", first).stdout


def test_who_names_a_run_that_is_not_there_learns_which_are(tmp_path: Path) -> None:
    _, run_id = add_run(tmp_path)
    result = kvmwizard(tmp_path, "undo", "20200101-000000-00000000")
    assert result.returncode == 2
    assert f"Its last ones are: {run_id}." in result.stderr


def test_a_log_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, (*BEGUN, FAILED, RunEnded(time=5.0, good=False)))
    result = kvmwizard(tmp_path, "log", "second")
    assert result.stderr == f"The log {store.log_path(run_id, 'second')} is not there any more.\n"


def test_the_last_run_stands_where_the_session_names_none(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path)
    SessionStore(store.state_directory).save(Session())
    assert run_id in kvmwizard(tmp_path, "status").stdout


def test_the_log_is_of_the_step_that_failed(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, (*BEGUN, FAILED, RunEnded(time=5.0, good=False)))
    store.log_path(run_id, "first").write_bytes(b"of the first\n")
    store.log_path(run_id, "second").write_bytes(b"10%\r100%\nred \x1b[31m text\nhalf a line")
    result = kvmwizard(tmp_path, "log")
    assert result.stdout.splitlines()[0] == "100%"
    assert result.stdout.splitlines()[-1] == "half a line"
    assert kvmwizard(tmp_path, "log", "first").stdout == "of the first\n"
    assert kvmwizard(tmp_path, "log", "first", "--follow").stdout == "of the first\n"
    assert json.loads(kvmwizard(tmp_path, "log", "first", "--json").stdout) == {
        "step": "first",
        "line": "of the first",
    }


def test_a_log_for_a_file_is_every_byte_of_it(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, (*BEGUN, FAILED, RunEnded(time=5.0, good=False)))
    printed = "10%\r100%\nwhole é and a half".encode()
    store.log_path(run_id, "second").write_bytes(printed)
    assert kvmwizard(tmp_path, "log", "--raw").stdout.encode() == printed


def test_following_a_run_that_is_over_says_how_it_stands(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, (*BEGUN, RunStopped(time=5.0)))
    store.log_path(run_id, "second").write_bytes(b"of the second\n")
    result = kvmwizard(tmp_path, "log", "--follow")
    assert result.stdout.splitlines()[-1] == "of the second"
    assert result.stderr == f"Run {run_id} was stopped.\nTo go on: kvmwizard apply\n"


def test_a_step_without_a_log_is_said(tmp_path: Path) -> None:
    add_run(tmp_path)
    result = kvmwizard(tmp_path, "log", "second")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "The step second has printed nothing.\n"


def test_a_step_that_the_run_does_not_have(tmp_path: Path) -> None:
    add_run(tmp_path)
    result = kvmwizard(tmp_path, "log", "../../etc/passwd")
    assert result.returncode == 2
    assert "Its steps are: first, second." in result.stderr


def test_a_run_that_changed_nothing_is_not_undone(tmp_path: Path) -> None:
    _, run_id = add_run(tmp_path, (*BEGUN, done("second"), RunEnded(time=5.0, good=True)))
    assert kvmwizard(tmp_path, "undo").stdout.startswith("There is nothing to take back")
    named = kvmwizard(tmp_path, "undo", run_id)
    assert named.returncode == 1
    assert "changed nothing" in named.stderr


def test_undo_goes_back_run_by_run(tmp_path: Path) -> None:
    changed = (*BEGUN, done("second", CHANGE), RunEnded(time=5.0, good=True))
    store, first = add_run(tmp_path, changed)
    assert last_changing_run(store) == first
    _, second = add_run(tmp_path, changed)
    assert last_changing_run(store) == second
    add_undo(tmp_path, second, WHOLE)
    assert last_changing_run(store) == first
    add_undo(tmp_path, first)
    assert last_changing_run(store) == first, "an undo that did nothing yet took nothing back"
    add_undo(tmp_path, first, WHOLE)
    assert last_changing_run(store) is None


def test_the_undo_of_an_earlier_run_leaves_the_last_to_be_taken_back(tmp_path: Path) -> None:
    changed = (*BEGUN, done("second", CHANGE), RunEnded(time=5.0, good=True))
    store, first = add_run(tmp_path, changed)
    _, second = add_run(tmp_path, changed)
    add_undo(tmp_path, first, WHOLE)
    assert last_changing_run(store) == second


def test_what_had_to_stay_is_tried_again_once_every_run_was_taken_back(tmp_path: Path) -> None:
    changed = (*BEGUN, done("second", CHANGE), RunEnded(time=5.0, good=True))
    store, first = add_run(tmp_path, changed)
    _, second = add_run(tmp_path, changed)
    add_undo(tmp_path, second, (*BEGUN, FAILED, RunEnded(time=5.0, good=True)))
    assert last_changing_run(store) == first
    add_undo(tmp_path, first, WHOLE)
    assert last_changing_run(store) == second
    add_undo(tmp_path, second, WHOLE)
    assert last_changing_run(store) is None


WHOLE = (*BEGUN, done("second"), RunEnded(time=5.0, good=True))


def add_undo(home: Path, run_id: str, events: Sequence[EventModel] = ()) -> str:
    """A later run that takes that one back, what must stay, too; as far as these events say. Its id."""
    optional = PLAN.steps[1].model_copy(update={"required": False})
    plan = Plan(undoes=run_id, user="root", qemu=None, steps=(PLAN.steps[0], optional))
    return add_run(home, events, plan)[1]


def test_a_changed_plan_is_not_gone_on_with(tmp_path: Path) -> None:
    store, run_id = add_run(tmp_path, BEGUN)
    plan = store.directory(run_id) / "plan.json"
    plan.write_bytes(plan.read_bytes().replace(b"Do {step}", b"Do {step} and more"))
    for words in (["status"], ["apply"], ["log"]):
        result = kvmwizard(tmp_path, *words)
        assert result.returncode == 2
        assert "not the one that was agreed to" in result.stderr
