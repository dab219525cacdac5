"""At the review, each step says what undo cannot take back of it, before it is done."""

from screens.review import step_entry
from tests.plan.test_lasting import STAYS, plans


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
