"""Which steps somebody may go on without, and what real runs make of it."""

import json
import os
import pwd
from pathlib import Path

import pytest

from kvmwizard.plan.model import Plan
from kvmwizard.run.json import run_report
from kvmwizard.run.launch import root_helper_needed, start_runner
from kvmwizard.run.leaving_out import also_left_out, brought_kernel, decider, why_not_left_out
from kvmwizard.run.model import RunState, RunStatus, StepLeftOut, StepState, StepStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from tests.run.plans import files, plan_of, removing_step, step
from tests.run.test_runner import wait_for_end

PLAN = plan_of(step("a"), step("b", needs=("a",)), step("c", needs=("b",)), step("d", required=False))
FAILED = StepState(status=StepStatus.FAILED)


def states(**statuses: StepStatus) -> dict[str, StepState]:
    waiting = {each.id: StepState() for each in PLAN.steps}
    return waiting | {name: StepState(status=status) for name, status in statuses.items()}


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("x", StepStatus.WAITING, "has no step x. Its steps are: a, b, c, d"),
        ("a", StepStatus.WAITING, "did not fail"),
        ("a", StepStatus.DONE, "did not fail"),
        ("a", StepStatus.SKIPPED, "did not fail"),
        ("a", StepStatus.RUNNING, "did not fail"),
        ("a", StepStatus.LEFT_OUT, "was skipped already"),
        ("d", StepStatus.FAILED, "went on without d by itself"),
    ],
)
def test_what_cannot_be_skipped_says_why(name: str, status: StepStatus, said: str) -> None:
    found = states(**({name: status} if name != "x" else {}))
    words = why_not_left_out(PLAN, found, name)
    assert words is not None
    assert said in words.english


def test_a_failed_step_can_be_skipped_but_never_of_an_undo() -> None:
    found = states(a=StepStatus.FAILED)
    assert why_not_left_out(PLAN, found, "a") is None
    words = why_not_left_out(PLAN.model_copy(update={"undoes": "another"}), found, "a")
    assert words is not None
    assert "would stay" in words.english


def test_what_is_not_done_either_are_the_steps_that_still_wait() -> None:
    assert [each.id for each in also_left_out(PLAN, states(a=StepStatus.FAILED), "a")] == ["b", "c"]


def test_no_kernel_is_expected_where_the_step_that_brings_it_is_left_out() -> None:
    plan = plan_of(step("kernel.install")).model_copy(update={"kernel_release": "6.12.104"})
    for status, release in ((StepStatus.DONE, "6.12.104"), (StepStatus.LEFT_OUT, None)):
        state = RunState(
            run_id="r",
            plan=plan,
            status=RunStatus.DONE,
            steps={"kernel.install": StepState(status=status)},
            began=0,
            ended=1,
        )
        assert brought_kernel(state) == release


@pytest.fixture
def failed(tmp_path: Path) -> tuple[RunStore, str]:
    """A run whose step `first` fails, with `second` and `third` behind it and `other` beside it."""
    first, second, third, other = files(tmp_path, "first", "second", "third", "other")
    plan: Plan = plan_of(
        removing_step(first, script="echo out of luck; exit 3"),
        removing_step(second, needs=("first",)),
        removing_step(third, needs=("second",)),
        removing_step(other),
    )
    store = RunStore(tmp_path / "state")
    run_id = store.create(plan)
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.FAILED
    return store, run_id


def test_a_run_goes_on_without_a_step_and_says_who_decided_so(
    failed: tuple[RunStore, str], tmp_path: Path
) -> None:
    store, run_id = failed
    assert not root_helper_needed(store, run_id, "first")
    start_runner(store, run_id, left_out="first")
    state = wait_for_end(store, run_id)
    assert state.status is RunStatus.DONE
    assert [each.status for each in state.steps.values()] == [StepStatus.LEFT_OUT] * 3 + [StepStatus.DONE]
    assert (tmp_path / "second").exists(), "what needs the skipped step is not run"
    me = pwd.getpwuid(os.geteuid()).pw_name
    (decision,) = [event for event in store.events(run_id) if isinstance(event, StepLeftOut)]
    assert (decision.step, decision.user) == ("first", decider())
    assert decision.user == os.environ.get("SUDO_USER", me)
    report = json.loads(json.dumps(run_report(state)))
    assert [(each["status"], each["left_out_by"]) for each in report["steps"][:2]] == [
        ("left-out", decision.user),
        ("left-out", decision.user),
    ]
    log = store.log_path(run_id, "first").read_text(encoding="utf-8")
    assert f"=== skipped by {decision.user}, " in log
    assert store.read(run_id) == RunStore(store.state_directory).read(run_id), "the journal alone says so"


@pytest.mark.parametrize("name", ["second", "other", "nothing"])
def test_the_runner_itself_refuses_what_cannot_be_skipped(failed: tuple[RunStore, str], name: str) -> None:
    store, run_id = failed
    before = store.events(run_id)
    with pytest.raises(RunRefused):
        start_runner(store, run_id, left_out=name)
    assert store.events(run_id) == before
    assert store.read(run_id).status is RunStatus.FAILED


def test_a_retry_does_not_take_up_what_was_skipped(failed: tuple[RunStore, str], tmp_path: Path) -> None:
    store, run_id = failed
    start_runner(store, run_id, left_out="first")
    wait_for_end(store, run_id)
    start_runner(store, run_id, retry=True)
    assert wait_for_end(store, run_id).status is RunStatus.DONE
    assert (tmp_path / "first").exists()
