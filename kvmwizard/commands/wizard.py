"""`kvmwizard` alone: the wizard, or its findings as plain text where no wizard can be shown."""

import sys

from kvmwizard.commands.directory import asked_state_directory
from kvmwizard.commands.output import understands_escapes
from kvmwizard.commands.parser import Options


def run(options: Options) -> int:
    """Open the wizard; without a terminal for it, print the check report and the plan."""
    if sys.stdin.isatty() and understands_escapes(sys.stdout):
        from screens.app import open_wizard  # noqa: PLC0415  -- Textual is imported for the wizard alone

        return open_wizard(state_directory=asked_state_directory(options))
    from kvmwizard.commands.plain_report import report_plainly  # noqa: PLC0415  -- not before the first frame
    from kvmwizard.commands.saved import State  # noqa: PLC0415  -- as above

    return report_plainly(State.of(options))
