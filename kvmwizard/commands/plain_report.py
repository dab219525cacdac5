"""What the wizard would show first, where it cannot be shown: the checks and the plan."""

import os
import sys

from kvmwizard.answers import Answers
from kvmwizard.checks.judge import judge
from kvmwizard.checks.text import checks_as_text
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import show, width
from kvmwizard.commands.plan import evidence_of, planned
from kvmwizard.commands.saved import State
from kvmwizard.host.facts import Facts
from kvmwizard.paths import directory_option
from kvmwizard.plan.text import plan_as_text
from kvmwizard.run.expected import expected_seconds
from kvmwizard.words import Words, say


def report_plainly(state: State) -> ExitCode:
    """Print both without one escape sequence; a machine that is not ready is no failure of the report.

    Raises CommandRefused where the session is refused.
    """
    facts = read_machine()
    show(checks_as_text(judge(facts), facts, width(), colour=False))
    show()
    _show_plan(state.session().answers, facts, directory_option(state.directory))
    return ExitCode.GOOD


def _show_plan(answers: Answers, facts: Facts, option: str) -> None:
    try:
        plan = planned(answers, facts)
    except CommandRefused as refused:
        # The checks are what was asked for; that nothing can be planned is one more finding.
        for words in (refused.words, *refused.details):
            show(words)
        return
    evidence = evidence_of(plan, facts)
    show(plan_as_text(plan, evidence, width(), expected_seconds(plan, evidence)))
    show()
    show(_why_no_wizard(option))


def _why_no_wizard(option: str) -> Words:
    terminal = os.environ.get("TERM", "")
    if sys.stdin.isatty() and sys.stdout.isatty():
        return say(
            "The wizard needs a terminal that can place text, and TERM={terminal} says that this one cannot. "
            "Carry this plan out with {command}, and see kvmwizard --help.",
            terminal=terminal,
            command=f"kvmwizard apply{option}",
        )
    return say(
        "The wizard needs a terminal. Without one, carry this plan out with {command}, and see "
        "kvmwizard --help.",
        command=f"kvmwizard apply --yes{option}",
    )
