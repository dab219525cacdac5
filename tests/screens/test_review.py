"""At the review: what each step says before it is done, and what happens while the run is made."""

import threading
from pathlib import Path

import pytest

from kvmwizard.plan.model import Plan
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.words import say
from screens.review import step_entry
from tests.plan.test_lasting import STAYS, plans
from tests.screens.pilots import walking
from tests.screens.test_failure import shows

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
