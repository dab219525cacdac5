"""How far a step has come, in one line of the list and in its explanation."""

from pathlib import Path

import pytest

from kvmwizard.commands import log
from kvmwizard.commands.parser import Options
from kvmwizard.plan.model import Plan, Step
from kvmwizard.run.model import RunState, RunStatus, StepFailed, StepProgress, StepState, StepStatus
from kvmwizard.run.store import RunStore
from kvmwizard.run.text import step_that_matters
from kvmwizard.words import say
from screens.run_watch import RunSight, RunWatch, progress_detail, step_entries, step_explanation
from screens.terminal import UNICODE_SIGNS
from tests.screens.test_run_pages import add_run, started
from tests.screens.test_run_pages import step as guest_step

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
    now, left = step_explanation(STEP, RUNNING, progress, waits=False)
    assert now.text == "Compiling fs/file.o"
    assert left.text == "How much there is to do is still being counted."


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (StepStatus.RUNNING, "It waits for the steps before it."),
        (StepStatus.DONE, "It waits for no other step: it begins as soon as the run goes on."),
    ],
)
def test_what_a_step_waits_for_is_what_is_not_done_yet(before: StepStatus, said: str) -> None:
    """As when root is gone in the middle of a run."""
    first, second = STEP, STEP.model_copy(update={"id": "kernel.install", "needs": (STEP.id,)})
    state = RunState(
        run_id="20261123-000000-00000000",
        plan=Plan(user="alice", qemu=None, steps=(first, second)),
        status=RunStatus.NEEDS_ROOT,
        began=0,
        ended=None,
        steps={
            first.id: StepState(status=before, attempts=1),
            second.id: StepState(status=StepStatus.WAITING),
        },
    )
    sight = RunSight(state=state, progress={}, log_step=None, log_lines=())
    _, waiting = step_entries(sight, UNICODE_SIGNS, now=0)
    assert [part.text for part in waiting.explanation][-1] == said


def test_what_has_no_steps_says_what_it_does() -> None:
    progress = StepProgress(fraction=None, words=say("Configuring QEMU"))
    assert progress_detail(progress, UNICODE_SIGNS) == "Configuring QEMU"
    assert len(step_explanation(STEP, RUNNING, progress, waits=False)) == 1


RUNS = StepState(status=StepStatus.RUNNING, attempts=1, started=3.0)
HAS_FAILED = StepState(status=StepStatus.FAILED, attempts=1, started=2.0)
IS_DONE = StepState(status=StepStatus.DONE, attempts=1, started=1.0)
WAITS = StepState()


@pytest.mark.parametrize(
    ("status", "states", "matters"),
    [
        (RunStatus.RUNNING, (HAS_FAILED, RUNS, WAITS), "second"),
        (RunStatus.INTERRUPTED, (RUNS, HAS_FAILED, WAITS), "second"),
        (RunStatus.INTERRUPTED, (IS_DONE, RUNS, WAITS), "second"),
        (RunStatus.INTERRUPTED, (RUNS, WAITS, HAS_FAILED), "first"),
        (RunStatus.DONE, (IS_DONE.model_copy(update={"started": 9.0}), IS_DONE, IS_DONE), "first"),
        (RunStatus.INTERRUPTED, (WAITS, WAITS, WAITS), None),
    ],
    ids=["running", "failed", "cut off", "may fail", "begun last", "nothing begun"],
)
def test_of_a_run_under_way_what_runs_matters_and_of_one_that_is_over_what_failed(
    status: RunStatus, states: tuple[StepState, ...], matters: str | None
) -> None:
    steps = dict(zip(("first", "second", "may-fail"), states, strict=True))
    plan = Plan(
        user="alice",
        qemu=None,
        steps=tuple(STEP.model_copy(update={"id": name, "required": name != "may-fail"}) for name in steps),
    )
    run = RunState(run_id="1", plan=plan, status=status, steps=steps, began=0, ended=None)
    assert step_that_matters(run) == matters


def test_the_command_and_the_page_show_the_log_of_the_same_step(
    state_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(user="alice", qemu=None, steps=(guest_step("first"), guest_step("second")))
    failed = StepFailed(time=3.0, step="second", returncode=1, message=say("No."), changes=())
    run_id = add_run(state_directory, (started("first"), started("second"), failed), plan)
    store = RunStore(state_directory)
    for name in ("first", "second"):
        store.log_path(run_id, name).write_text(f"printed by {name}\n", encoding="ascii")
    log.run(Options(state_dir=state_directory))
    assert capsys.readouterr().out == "printed by second\n"
    assert RunWatch(store, run_id).look().log_lines == ("printed by second",)
