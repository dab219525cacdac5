"""The engine's slow parts before a run, for worker threads: the plan and the evidence for it."""

from dataclasses import dataclass

from kvmwizard.answers import AnswerProblem, Answers, answer_problems
from kvmwizard.catalog.feasibility import build_problems
from kvmwizard.host.facts import Facts
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.run.observe import plan_evidence
from kvmwizard.run.restoring import told_of_this_machine
from kvmwizard.words import Words
from screens.state import Machine, Review, WizardState


@dataclass(frozen=True)
class Unfeasible:
    """There can be no plan."""

    problems: tuple[AnswerProblem, ...]
    """The answers that keep it from being made, each with its page."""
    words: Words | None = None
    """Why, where it is no single answer."""


def plan_for(state: WizardState, machine: Machine) -> Review | Unfeasible:
    """The plan for the answers and what of it holds already; or why there can be none."""
    answers = state.answers
    # Asked again: a saved session may be older than what has happened to the machine.
    problems = problems_of(answers, machine.facts)
    if problems:
        return Unfeasible(problems)
    try:
        plan = told_of_this_machine(make_plan(machine.facts, answers))
    except PlanRefused as refused:
        return Unfeasible((), refused.words)
    return Review(plan=plan, evidence=plan_evidence(plan))


def problems_of(answers: Answers, facts: Facts) -> tuple[AnswerProblem, ...]:
    """What of the answers this machine cannot do."""
    return (*answer_problems(answers, facts), *build_problems(answers, facts))
