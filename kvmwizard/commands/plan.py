"""`kvmwizard plan`: exactly what would be done."""

from collections.abc import Mapping

from kvmwizard.answers import Answers
from kvmwizard.commands.decisions import feasible_answers
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.given_sources import with_given_sources
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, answers_from
from kvmwizard.host.facts import Facts
from kvmwizard.plan.json import plan_report
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.plan.shell import plan_as_shell
from kvmwizard.plan.text import plan_as_text
from kvmwizard.run.expected import expected_seconds
from kvmwizard.run.observe import plan_evidence
from kvmwizard.run.restoring import told_of_this_machine
from kvmwizard.words import Words


def run(options: Options) -> ExitCode:
    """Print the plan for the given answers, the saved ones, or the proposals. Raises CommandRefused."""
    facts = read_machine(options.root)
    plan = planned(with_given_sources(_wanted(options, facts), options), facts)
    evidence = evidence_of(plan, facts)
    if options.format == "sh":
        show(plan_as_shell(plan))
    elif options.format == "json":
        show_json(plan_report(plan, evidence))
    else:
        show(plan_as_text(plan, evidence, width(), expected_seconds(plan, evidence)))
    return ExitCode.GOOD


def planned(answers: Answers, facts: Facts) -> Plan:
    """The plan for what was answered, completed. Raises CommandRefused."""
    try:
        plan = make_plan(facts, feasible_answers(answers, facts))
    except PlanRefused as refused:
        raise CommandRefused(ExitCode.NOT_GOOD, refused.words) from refused
    return told_of_this_machine(plan) if facts.live else plan


def evidence_of(plan: Plan, facts: Facts) -> Mapping[str, Words]:
    """What holds already, by step; a recorded machine cannot be asked."""
    return plan_evidence(plan) if facts.live else {}


def _wanted(options: Options, facts: Facts) -> Answers:
    if options.answers is not None:
        return answers_from(options.answers)
    # The saved answers are this machine's, and say nothing of a recorded one.
    return State.of(options).session().answers if facts.live else Answers()
