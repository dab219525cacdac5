"""`kvmwizard` alone: the wizard, or its findings as plain text where no wizard can be shown."""

import sys

from kvmwizard.commands.output import understands_escapes
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State


def run(options: Options) -> int:
    """Open the wizard; without a terminal for it, print the check report and the plan."""
    state = State.of(options)
    if sys.stdin.isatty() and understands_escapes(sys.stdout):
        from screens.app import open_wizard  # noqa: PLC0415  -- Textual is imported for the wizard alone

        return open_wizard(state_directory=state.directory)
    from kvmwizard.commands.plain_report import report_plainly  # noqa: PLC0415  -- not before the first frame

    return report_plainly(state)
