from pathlib import Path

from kvmwizard.answers import AccessAnswer
from screens.planning import Unfeasible, plan_for
from screens.state import Machine, Review, WizardState
from tests.facts_builder import make_facts


def opened_state(directory: Path, user: str) -> WizardState:
    state = WizardState(directory)
    state.open()
    state.machine = Machine(facts=make_facts(), results=())
    state.session = state.with_answer(AccessAnswer(user=user))
    return state


def test_a_saved_user_who_is_gone_is_told_before_the_plan(tmp_path: Path) -> None:
    state = opened_state(tmp_path, "nobody-by-this-name")
    assert state.machine is not None
    outcome = plan_for(state, state.machine)
    assert isinstance(outcome, Unfeasible)
    (problem,) = outcome.problems
    assert problem.page == "access"
    assert "no user nobody-by-this-name" in problem.words.english


def test_answers_that_can_be_carried_out_make_a_plan(tmp_path: Path) -> None:
    state = opened_state(tmp_path, "root")
    assert state.machine is not None
    review = plan_for(state, state.machine)
    assert isinstance(review, Review)
    assert review.plan.user == "root"
