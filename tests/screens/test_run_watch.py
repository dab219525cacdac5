"""How far a step has come, in one line of the list and in its explanation."""

import pytest

from kvmwizard.plan.model import Step
from kvmwizard.run.model import StepProgress, StepState, StepStatus
from kvmwizard.words import say
from screens.run_watch import progress_detail, step_explanation
from screens.terminal import UNICODE_SIGNS

WORDS = say("Compiling fs/file.o")
STEP = Step(
    id="kernel.compile",
    title=say("Compile"),
    needs=(),
    root=False,
    uses=(),
    seconds=1,
    conditions=(),
    actions=(),
)
RUNNING = StepState(status=StepStatus.RUNNING, attempts=1, started=0)


def steps(done: float, total: float | None) -> StepProgress:
    fraction = None if total is None else done / total
    return StepProgress(fraction=fraction, words=WORDS, done=done, total=total, unit="steps")


def rate(bytes_a_second: float) -> StepProgress:
    left = 50e6 / bytes_a_second
    return StepProgress(fraction=0.5, words=say("x"), done=50e6, total=100e6, unit="bytes", seconds_left=left)


@pytest.mark.parametrize(
    "looks",
    [(steps(9, 2533), steps(540, 2533), steps(2532, 2533)), (rate(9e5), rate(1e6), rate(1e7), rate(2e8))],
    ids=["steps", "rate"],
)
def test_the_columns_stay_where_they_are_while_a_step_goes_on(looks: tuple[StepProgress, ...]) -> None:
    assert len({len(progress_detail(progress, UNICODE_SIGNS)) for progress in looks}) == 1


def test_until_the_steps_are_counted_their_number_so_far_stands_in_the_place_of_a_bar() -> None:
    progress = steps(37, None)
    assert progress_detail(progress, UNICODE_SIGNS) == "37 steps so far"
    now, left = step_explanation(STEP, RUNNING, progress)
    assert now.text == "Compiling fs/file.o"
    assert left.text == "How much there is to do is still being counted."


def test_what_has_no_steps_says_what_it_does() -> None:
    progress = StepProgress(fraction=None, words=say("Configuring QEMU"))
    assert progress_detail(progress, UNICODE_SIGNS) == "Configuring QEMU"
    assert len(step_explanation(STEP, RUNNING, progress)) == 1
