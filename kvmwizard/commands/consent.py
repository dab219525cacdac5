"""Asking a person before anything is changed."""

import sys
import termios
from collections.abc import Mapping

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import complain, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.plan.json import plan_report
from kvmwizard.plan.model import Plan
from kvmwizard.plan.text import plan_as_text
from kvmwizard.words import Words, _, say


def agree_to(plan: Plan, evidence: Mapping[str, Words], options: Options) -> None:
    """Show the plan, and return only where it was agreed to.

    By --yes, by a person at the terminal, or, where there is none, by --answers:
    who wrote that file has decided. Raises CommandRefused.
    """
    if options.json:
        show_json({"event": "plan", **plan_report(plan, evidence)})
    else:
        show(plan_as_text(plan, evidence, width()))
        show()
    if plan.only_shown is not None:
        raise CommandRefused(ExitCode.NOT_GOOD, plan.only_shown)
    if options.yes:
        return
    if somebody_can_answer(options):
        if not agreed(_("Carry this plan out? [y/N] ")):
            raise CommandRefused(ExitCode.NOT_GOOD, say("Nothing was changed."))
    elif options.answers is None:
        raise CommandRefused(
            ExitCode.WRONG_USE,
            say(
                "Nobody is at a terminal to agree to the plan. Nothing was changed. "
                "Read the plan, then run the same again with --yes."
            ),
        )


def somebody_can_answer(options: Options) -> bool:
    """Whether a person at a terminal sees a question, and can answer it; JSON is for programs."""
    return not options.json and sys.stdin.isatty() and sys.stdout.isatty()


def agreed(question: str) -> bool:
    """Ask the person at the terminal; no answer is no."""
    # Keys pressed before the question was there are no answer to it.
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    while True:
        try:
            answer = input(question).strip().lower()
        except EOFError:
            complain("")
            return False
        if answer in {"", "n", "no", _("no")}:
            return False
        if answer in {"y", "yes", _("yes")}:
            return True
        complain(say("Please answer y (yes) or n (no)."))
