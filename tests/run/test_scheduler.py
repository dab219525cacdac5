from kvmwizard.run.model import StepState, StepStatus
from kvmwizard.run.scheduler import ended_well, root_steps_left, startable, steps_behind
from tests.run.plans import plan_of, step

WAITING, RUNNING, DONE, FAILED, SKIPPED, LEFT_OUT = (
    StepState(status=status)
    for status in (
        StepStatus.WAITING,
        StepStatus.RUNNING,
        StepStatus.DONE,
        StepStatus.FAILED,
        StepStatus.SKIPPED,
        StepStatus.LEFT_OUT,
    )
)


def test_steps_wait_for_what_they_need() -> None:
    plan = plan_of(step("a"), step("b", needs=("a",)))
    assert [each.id for each in startable(plan, {"a": WAITING, "b": WAITING})] == ["a"]
    assert startable(plan, {"a": RUNNING, "b": WAITING}) == ()
    assert [each.id for each in startable(plan, {"a": SKIPPED, "b": WAITING})] == ["b"]


def test_independent_steps_start_together_unless_they_share_what_one_alone_may_hold() -> None:
    plan = plan_of(step("a", uses=("packages",)), step("b", uses=("packages",)), step("c", uses=("network",)))
    states = {"a": WAITING, "b": WAITING, "c": WAITING}
    assert [each.id for each in startable(plan, states)] == ["a", "c"]


def test_what_memory_does_not_hold_together_comes_one_after_the_other() -> None:
    plan = plan_of(
        step("a", uses=("processor", "memory")),
        step("b", uses=("processor", "memory")),
        step("c", uses=("processor",)),
    )
    states = {"a": WAITING, "b": WAITING, "c": WAITING}
    assert [each.id for each in startable(plan, states)] == ["a", "c"]


def test_root_does_one_thing_at_a_time() -> None:
    plan = plan_of(step("a", root=True), step("b", root=True), step("c"))
    states = {"a": RUNNING, "b": WAITING, "c": WAITING}
    assert [each.id for each in startable(plan, states)] == ["c"]


def test_nothing_starts_behind_a_failed_step() -> None:
    plan = plan_of(step("a"), step("b", needs=("a",)))
    states = {"a": FAILED, "b": WAITING}
    assert startable(plan, states) == ()
    assert not ended_well(plan, states)


def test_a_step_that_is_not_required_holds_nobody_up_when_it_fails() -> None:
    plan = plan_of(step("a", required=False), step("b", needs=("a",)))
    assert [each.id for each in startable(plan, {"a": FAILED, "b": WAITING})] == ["b"]
    assert ended_well(plan, {"a": FAILED, "b": DONE})


def test_root_is_not_needed_for_what_stands_behind_a_failed_step() -> None:
    plan = plan_of(step("a"), step("b", needs=("a",), root=True))
    assert root_steps_left(plan, {"a": DONE, "b": WAITING})
    assert not root_steps_left(plan, {"a": FAILED, "b": WAITING})
    assert not root_steps_left(plan, {"a": DONE, "b": DONE})


def test_what_needs_a_step_is_found_through_others_too() -> None:
    plan = plan_of(step("a"), step("b", needs=("a",)), step("c"), step("d", needs=("b", "c")))
    assert [each.id for each in steps_behind(plan, "a")] == ["b", "d"]
    assert steps_behind(plan, "d") == ()


def test_a_run_ends_well_without_what_somebody_left_out_and_nothing_of_it_starts() -> None:
    plan = plan_of(step("a"), step("b", needs=("a",), root=True), step("c"))
    states = {"a": LEFT_OUT, "b": LEFT_OUT, "c": DONE}
    assert startable(plan, states) == ()
    assert ended_well(plan, states)
    assert not root_steps_left(plan, states)
    assert not ended_well(plan, {**states, "c": FAILED})
