import pytest

from kvmwizard.plan.build_model import KernelRuns
from kvmwizard.run.model import (
    Event,
    RestartNeeded,
    RootNeeded,
    RunBegan,
    RunEnded,
    RunnerStarted,
    RunStatus,
    RunStopped,
    StepDone,
    StepFailed,
    StepLeftOut,
    StepStarted,
    StepStatus,
)
from kvmwizard.run.replay import interruptions, replay, restart_asked_in
from kvmwizard.words import say
from tests.run.plans import plan_of, step

BOOT = "b"
BEGAN = RunBegan(time=1, digest="d", boot_id=BOOT)
RUNNER = RunnerStarted(time=2, pid=1, process_start=1, boot_id=BOOT)
RETRY = RUNNER.model_copy(update={"retry": True})
DONE = StepDone(time=4, step="a", evidence=say("x"), changes=("c",))
FAILED = StepFailed(time=4, step="a", returncode=1, message=say("x"), changes=())


def started(attempt: int = 1, before: str = "first") -> StepStarted:
    return StepStarted(time=3, step="a", attempt=attempt, before=(before,))


@pytest.mark.parametrize(
    ("events", "alive", "status"),
    [
        ([], False, RunStatus.INTERRUPTED),
        ([RUNNER], True, RunStatus.RUNNING),
        ([RUNNER, started()], False, RunStatus.INTERRUPTED),
        ([RUNNER, RootNeeded(time=3)], False, RunStatus.NEEDS_ROOT),
        ([RUNNER, RestartNeeded(time=3, boot_id=BOOT)], False, RunStatus.NEEDS_RESTART),
        ([RUNNER, RestartNeeded(time=3, boot_id="a")], False, RunStatus.RESTARTED),
        ([RUNNER, RestartNeeded(time=3, boot_id="a"), RUNNER], True, RunStatus.RUNNING),
        ([RUNNER, RestartNeeded(time=3, boot_id="a"), RUNNER], False, RunStatus.INTERRUPTED),
        ([RUNNER, RunStopped(time=3)], False, RunStatus.STOPPED),
        ([RUNNER, DONE, RunEnded(time=5, good=True)], False, RunStatus.DONE),
        ([RUNNER, FAILED, RunEnded(time=5, good=False)], False, RunStatus.FAILED),
        ([RUNNER, FAILED, RunEnded(time=5, good=False), RETRY], True, RunStatus.RUNNING),
    ],
)
def test_the_last_event_and_life_tell_how_a_run_stands(
    events: list[Event], alive: bool, status: RunStatus
) -> None:
    assert replay("r", plan_of(step("a")), [BEGAN, *events], alive, BOOT).status is status


def test_undo_goes_back_to_before_an_attempt_that_was_cut_off() -> None:
    events: list[Event] = [BEGAN, RUNNER, started(1, "first"), RUNNER, started(2, "second")]
    state = replay("r", plan_of(step("a")), events, alive=True, boot_id=BOOT).steps["a"]
    assert (state.attempts, state.before, state.changes) == (2, ("first",), None)


def test_what_changed_after_a_failed_attempt_is_not_the_run_s() -> None:
    failed = FAILED.model_copy(update={"changes": ("c",)})
    events: list[Event] = [BEGAN, RUNNER, started(1, "first"), failed, RETRY, started(2, "second")]
    state = replay("r", plan_of(step("a")), events, alive=True, boot_id=BOOT).steps["a"]
    assert (state.before, state.earlier, state.changes) == (("second",), ("c",), None)


def test_a_retry_sets_failed_steps_to_waiting() -> None:
    state = replay(
        "r", plan_of(step("a")), [BEGAN, RUNNER, started(), FAILED, RETRY], alive=True, boot_id=BOOT
    )
    assert state.steps["a"].status is StepStatus.WAITING


def test_an_event_of_a_step_that_the_plan_does_not_have_is_passed_over() -> None:
    stray = started().model_copy(update={"step": "stray"})
    assert set(replay("r", plan_of(step("a")), [BEGAN, stray], alive=False, boot_id=BOOT).steps) == {"a"}


def test_interruptions_are_counted_in_a_row() -> None:
    events: list[Event] = [BEGAN]
    for _ in range(3):
        events += [RUNNER, started()]
    assert interruptions([*events, RUNNER], "a") == 3
    assert interruptions([*events, RunStopped(time=5), RUNNER], "a") == 0
    assert interruptions([*events, FAILED, RUNNER], "a") == 0
    assert interruptions([*events, RETRY], "a") == 0


def test_what_needs_a_step_that_somebody_skipped_is_left_out_with_it_and_says_so() -> None:
    plan = plan_of(step("a"), step("b", needs=("a",)), step("c", needs=("b",)), step("d"))
    skipped = StepLeftOut(time=6, step="a", user="alice")
    state = replay("r", plan, [BEGAN, RUNNER, started(), FAILED, skipped, RETRY], alive=True, boot_id=BOOT)
    statuses = [state.steps[each].status for each in "abcd"]
    assert statuses == [StepStatus.LEFT_OUT] * 3 + [StepStatus.WAITING]
    words = [each.words.english for each in state.steps.values() if each.words is not None]
    assert words[0] == "alice skipped it after it failed: x"
    assert words[2] == "Not done: it needs “a step”, which alice skipped."
    assert {state.steps[each].left_out_by for each in "abc"} == {"alice"}


def test_a_restart_is_asked_for_until_somebody_tries_again() -> None:
    asked = RestartNeeded(time=3, boot_id="a")
    assert restart_asked_in([BEGAN, RUNNER]) is None
    assert restart_asked_in([BEGAN, RUNNER, asked, RUNNER]) == "a"
    assert restart_asked_in([BEGAN, RUNNER, asked, RETRY]) is None
    again = asked.model_copy(update={"boot_id": BOOT})
    assert restart_asked_in([BEGAN, RUNNER, asked, RETRY, again]) == BOOT


def test_a_restart_that_is_asked_for_anew_waits_again() -> None:
    restart = step("a").model_copy(update={"conditions": (KernelRuns(release="6.1.0"),)})
    asked = RestartNeeded(time=5, boot_id=BOOT)
    done = replay("r", plan_of(restart), [BEGAN, RUNNER, asked, RUNNER, DONE], alive=True, boot_id=BOOT)
    assert done.steps["a"].status is StepStatus.DONE
    again = replay("r", plan_of(restart), [BEGAN, RUNNER, DONE, asked], alive=False, boot_id=BOOT)
    assert again.steps["a"].status is StepStatus.WAITING
