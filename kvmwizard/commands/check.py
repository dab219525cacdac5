"""`kvmwizard check`: whether this machine is ready for KVM guests."""

import contextlib

from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.output import colour, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.host.guest_process import GuestProcess, start_guest


def run(options: Options) -> ExitCode:
    """Read, judge, print. Raises CommandRefused for what cannot be read and for an unknown user."""
    return _check(options, None if options.root else _early_guest())


def _early_guest() -> GuestProcess | None:
    """Our own guest, running while the imports of `_check` take their time; None where it cannot."""
    with contextlib.suppress(OSError):
        return start_guest()
    return None


def _check(options: Options, guest: GuestProcess | None) -> ExitCode:
    # ruff: noqa: PLC0415  -- these take as long as the guest, which runs meanwhile
    from kvmwizard.checks.json import check_report
    from kvmwizard.checks.judge import is_ready, judge
    from kvmwizard.checks.text import checks_as_text
    from kvmwizard.commands.machine import read_machine

    facts = read_machine(options.root, guest)
    if options.user is not None:
        from kvmwizard.commands.decisions import require_user

        require_user(options.user, facts)
    results = judge(facts, options.user)
    if options.json:
        show_json(check_report(results, facts))
    else:
        show(checks_as_text(results, facts, width(), colour(), options.user))
    return ExitCode.GOOD if is_ready(results) else ExitCode.NOT_GOOD
