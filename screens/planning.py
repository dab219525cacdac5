"""The engine's slow parts before a run, for worker threads: the plan and the evidence for it."""

from kvmwizard.plan.make import PlanRefused, make_plan
from kvmwizard.run.observe import plan_evidence
from kvmwizard.words import Words
from screens.state import Machine, Review, WizardState


def plan_for(state: WizardState, machine: Machine) -> Review | Words:
    """The plan for the answers and what of it holds already; or why there can be none."""
    try:
        plan = make_plan(machine.facts, state.answers)
    except PlanRefused as refused:
        return refused.words
    return Review(plan=plan, evidence=plan_evidence(plan))
