"""`kvmwizard` alone: the wizard, or its findings as plain text where no wizard can be shown."""

import sys

from kvmwizard.commands.directory import asked_state_directory
from kvmwizard.commands.output import understands_escapes
from kvmwizard.commands.parser import SOURCE_OPTIONS, Options


def run(options: Options) -> int:
    """Open the wizard; without a terminal for it, print the check report and the plan.

    Servers and keys that options name are saved with the answers first. Raises CommandRefused.
    """
    if any(getattr(options, name) is not None for name in SOURCE_OPTIONS):
        _save_sources(options)
    if sys.stdin.isatty() and understands_escapes(sys.stdout):
        from screens.app import open_wizard  # noqa: PLC0415  -- Textual is imported for the wizard alone

        return open_wizard(state_directory=asked_state_directory(options), may_move=options.state_dir is None)
    from kvmwizard.commands.plain_report import report_plainly  # noqa: PLC0415  -- not before the first frame
    from kvmwizard.commands.saved import State  # noqa: PLC0415  -- as above

    return report_plainly(State.of(options))


def _save_sources(options: Options) -> None:
    from kvmwizard.commands.given_sources import with_given_sources  # noqa: PLC0415  -- hardly ever needed
    from kvmwizard.commands.saved import State  # noqa: PLC0415  -- as above

    saved = State.of(options)
    saved.take()
    try:
        session = saved.session()
        answers = with_given_sources(session.answers, options)
        saved.save(session.model_copy(update={"answers": answers}))
    finally:
        saved.sessions.unlock()
