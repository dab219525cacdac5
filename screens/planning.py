"""The engine's slow parts before a run, for worker threads: the plan and the evidence for it."""

from kvmwizard.answers import answer_problems
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.run.observe import plan_evidence
from kvmwizard.words import Words
from screens.state import Machine, Review, WizardState


def plan_for(state: WizardState, machine: Machine) -> Review | Words:
    """The plan for the answers and what of it holds already; or why there can be none."""
    answers = state.answers
    # Asked again: a saved session may be older than what has happened to the machine.
    problems = answer_problems(answers, machine.facts)
    if problems:
        return problems[0].words
    try:
        plan = make_plan(machine.facts, answers)
    except PlanRefused as refused:
        return refused.words
    return Review(plan=plan, evidence=plan_evidence(plan))
