"""At the review: what each step says before it is done, and what happens while the run is made."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kvmwizard.answers import Answers
from kvmwizard.commands import consent, plain_report
from kvmwizard.commands import plan as plan_command
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State
from kvmwizard.host.facts import Facts
from kvmwizard.plan.model import Plan
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.words import say
from screens.planning import Unfeasible
from screens.review import step_entry, summary
from screens.state import Machine, Review, WizardState
from tests.facts_builder import make_facts
from tests.plan.test_lasting import STAYS, plans
from tests.screens.pilots import walking
from tests.screens.test_failure import shows
from tests.screens.test_run_pages import PLAN

WRITTEN_SECONDS = 10.0


def test_what_undo_leaves_is_said_beside_what_runs() -> None:
    said: dict[str, str] = {}
    for plan in plans():
        for step in plan.steps:
            explanation = step_entry(step, None).explanation
            told = [part.text for part in explanation if part.label == "Undo"]
            assert told == ([] if step.lasting is None else [str(step.lasting)])
            assert any(part.label == "Runs" for part in explanation) or step.awaits_restart
            said[step.id] = "".join(told)
    assert {step for step, part in STAYS.items() if part not in said.get(step, "")} == set()


async def test_while_the_run_is_made_the_wizard_answers_and_there_is_no_way_back(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed = threading.Event()
    answered: list[bool] = []

    def create_on_a_slow_disk(_store: RunStore, _plan: Plan) -> str:
        answered.append(pressed.wait(WRITTEN_SECONDS))
        raise RunRefused(say("The disk is full."))

    monkeypatch.setattr(RunStore, "create", create_on_a_slow_disk)
    async with walking(state_directory) as walk:
        await walk.enter_until("review")
        await shows(walk, "Carry out")
        await walk.pilot.press("enter")
        await walk.pilot.press("escape")
        pressed.set()
        await shows(walk, "The disk is full.")
        assert walk.place == "review"
        assert answered == [True]
        await walk.press("escape")
        assert walk.place != "review"


async def test_the_plan_is_made_for_the_machine_as_it_is_now(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since the wizard was opened, a run or somebody else may have changed it."""
    planned_for: list[Facts] = []

    def plan_nothing(_state: WizardState, machine: Machine) -> Unfeasible:
        planned_for.append(machine.facts)
        return Unfeasible((), say("Nothing is planned here."))

    monkeypatch.setattr("screens.review.plan_for", plan_nothing)
    async with walking(state_directory) as walk:
        await walk.enter_until("access")
        walk.app.facts = changed = make_facts().model_copy()
        await walk.enter_until("review")
        await shows(walk, "Nothing is planned here.")
        assert [facts is changed for facts in planned_for] == [True]


async def test_a_key_that_is_kept_pressed_agrees_to_nothing(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screens.review.REST_SECONDS", 1.5)
    monkeypatch.setattr("screens.review.plan_for", lambda *_: Review(PLAN, {}))
    async with walking(state_directory) as walk:
        await walk.enter_until("review")
        await shows(walk, "It can be agreed to when no key was pressed for a moment.")
        for _ in range(12):
            await walk.pilot.press("enter")
            await walk.pilot.pause(0.1)
        assert "Carry out" not in walk.text
        assert RunStore(state_directory).runs() == ()
        await shows(walk, "Carry out", "2 steps to do")


async def test_what_a_dialog_covered_was_not_seen(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screens.review.REST_SECONDS", 0.6)
    monkeypatch.setattr("screens.review.plan_for", lambda *_: Review(PLAN, {}))
    async with walking(state_directory) as walk:
        await walk.enter_until("review")
        await walk.pilot.press("question_mark")
        await walk.pilot.pause(0.8)
        await walk.pilot.press("enter")
        await walk.pilot.press("enter")
        await walk.pilot.pause(0.1)
        assert walk.place == "review"
        assert RunStore(state_directory).runs() == ()
        await shows(walk, "Carry out")


def test_a_step_that_takes_no_time_is_done_at_once() -> None:
    at_once = PLAN.steps[0].model_copy(update={"seconds": 0})
    assert step_entry(at_once, None).detail == "at once"
    assert step_entry(PLAN.steps[0], None).detail == "30 seconds"


@pytest.fixture
def a_machine_with_two_steps_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(_answers: Answers, _facts: Facts) -> Plan:
        return PLAN

    for command in (plan_command, plain_report):
        monkeypatch.setattr(command, "read_machine", lambda *_: make_facts(live=False))
        monkeypatch.setattr(command, "planned", planned)


def by_plan(state_directory: Path) -> None:
    plan_command.run(Options(state_dir=state_directory))


def by_apply(_: Path) -> None:
    consent.agree_to(PLAN, {}, Options(yes=True))


def without_a_terminal(state_directory: Path) -> None:
    plain_report.report_plainly(State.of(Options(state_dir=state_directory)))


@pytest.mark.parametrize("tell", [by_plan, by_apply, without_a_terminal])
@pytest.mark.usefixtures("a_machine_with_two_steps_side_by_side")
def test_a_plan_takes_as_long_in_every_place(
    state_directory: Path, capsys: pytest.CaptureFixture[str], tell: Callable[[Path], None]
) -> None:
    assert "about 30 seconds." in str(summary(PLAN, ()))
    tell(state_directory)
    assert "To do: about 30 seconds." in capsys.readouterr().out
