"""Asking a person before anything is changed."""

import os
import sys
import termios
from collections.abc import Mapping

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import complain, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.plan.json import plan_report
from kvmwizard.plan.model import Plan
from kvmwizard.plan.text import plan_as_text
from kvmwizard.run.expected import expected_seconds
from kvmwizard.words import Words, _, say

TERMINAL_OF_THE_SESSION = "/dev/tty"


def agree_to(plan: Plan, evidence: Mapping[str, Words], options: Options) -> None:
    """Show the plan, and return only where it was agreed to.

    By --yes, by a person at the terminal, or, where nobody is at one, by --answers:
    who wrote that file has decided. Raises CommandRefused.
    """
    if options.json:
        show_json({"event": "plan", **plan_report(plan, evidence)})
    else:
        show(plan_as_text(plan, evidence, width(), expected_seconds(plan, evidence)))
        show()
    if plan.only_shown is not None:
        raise CommandRefused(ExitCode.NOT_GOOD, plan.only_shown)
    if options.yes:
        return
    if somebody_can_answer(options):
        if not agreed(_("Carry this plan out? [y/N] ")):
            raise CommandRefused(ExitCode.NOT_GOOD, say("Nothing was changed."))
    elif options.answers is None or somebody_may_be_there():
        raise CommandRefused(
            ExitCode.WRONG_USE,
            say(
                "Nobody can be asked here (no terminal, output that is piped, or --json). Nothing was "
                "changed. Read the plan, then run the same again with --yes."
            ),
        )


def somebody_can_answer(options: Options) -> bool:
    """Whether a person at a terminal sees a question, and can answer it; JSON is for programs."""
    return not options.json and sys.stdin.isatty() and sys.stdout.isatty()


def somebody_may_be_there() -> bool:
    """Whether a person may be at a terminal, even where none can be asked: who is there must agree.

    Also where every stream leads elsewhere: whoever typed that is at the terminal of the session (tty(4)).
    """
    if any(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return True
    try:
        os.close(os.open(TERMINAL_OF_THE_SESSION, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def agreed(question: str) -> bool:
    """Ask the person at the terminal; no answer is no."""
    # Keys pressed before the question was there are no answer to it.
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    while True:
        try:
            # What `input` prints itself goes to standard error, which may be a file.
            sys.stdout.write(question)
            sys.stdout.flush()
            answer = input().strip().lower()
        except (EOFError, OSError):
            complain("")
            return False
        if answer in {"", "n", "no", _("no")}:
            return False
        if answer in {"y", "yes", _("yes")}:
            return True
        complain(say("Please answer y (yes) or n (no)."))
