from pathlib import Path

import pytest

from kvmwizard.run.model import StepDone, StepFailed, StepStarted
from kvmwizard.run.soundness import garbled_step, has_sound_steps
from kvmwizard.words import say
from tests.run.plans import plan_of, removing_step, step

OF_NOBODY = '{"kind":"packages-added","manager":"`pt","names":["a"]}'
ABSENT = '{"exists":false}'


@pytest.mark.parametrize("name", ["", "../elsewhere", "a/b", ".", "..", "-x", "a b", "x" * 300, "a\n"])
def test_a_step_is_called_what_a_file_can_be_called(name: str) -> None:
    assert not has_sound_steps(plan_of(step(name)))


def test_steps_have_names_of_their_own_and_need_each_other_alone() -> None:
    assert has_sound_steps(plan_of(step("packages.lists"), step("undo.a-b_C", needs=("packages.lists",))))
    assert not has_sound_steps(plan_of(step("a"), step("a")))
    assert not has_sound_steps(plan_of(step("a", needs=("b",))))


def test_what_was_seen_must_be_of_the_conditions_kind(tmp_path: Path) -> None:
    plan = plan_of(removing_step(tmp_path / "file"))

    def told(*before: str) -> str | None:
        return garbled_step(plan, [StepStarted(time=1, step="file", attempt=1, before=before)])

    assert told(ABSENT) is None
    assert told() == "file"
    assert told(ABSENT, ABSENT) == "file"
    assert told('{"exists":falze}') == "file"
    assert told('{"groups":[]}') == "file"


@pytest.mark.parametrize("change", ["", "{}", '{"kind":"group-made","group":"kvm"}', "[" * 5000, OF_NOBODY])
def test_what_was_changed_must_be_a_change(change: str) -> None:
    plan = plan_of(step("a"))
    done = StepDone(time=1, step="a", evidence=say("x"), changes=(change,))
    failed = StepFailed(time=1, step="a", returncode=1, message=say("x"), changes=(change,))
    assert garbled_step(plan, [done]) == garbled_step(plan, [failed]) == "a"


def test_changes_that_are_to_be_looked_for_take_a_beginning() -> None:
    plan = plan_of(step("a"))
    begun = StepStarted(time=1, step="a", attempt=1, before=())
    failed = StepFailed(time=1, step="a", returncode=1, message=say("x"), changes=None)
    assert garbled_step(plan, [begun, failed]) is None
    assert garbled_step(plan, [failed]) == garbled_step(plan, [failed, begun]) == "a"


def test_what_is_said_of_other_plans_steps_is_passed_over() -> None:
    assert garbled_step(plan_of(), [StepStarted(time=1, step="a", attempt=1, before=("?",))]) is None
