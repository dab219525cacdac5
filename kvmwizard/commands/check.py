"""`kvmwizard check`: whether this machine is ready for KVM guests."""

from kvmwizard.checks.json import check_report
from kvmwizard.checks.judge import is_ready, judge
from kvmwizard.checks.text import checks_as_text
from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import colour, show, show_json, width
from kvmwizard.commands.parser import Options


def run(options: Options) -> ExitCode:
    """Read, judge, print. Raises CommandRefused for what cannot be read and for an unknown user."""
    facts = read_machine(options.root)
    if options.user is not None:
        from kvmwizard.commands.decisions import require_user  # noqa: PLC0415  -- answers take time to import

        require_user(options.user, facts)
    results = judge(facts, options.user)
    if options.json:
        show_json(check_report(results, facts))
    else:
        show(checks_as_text(results, facts, width(), colour(), options.user))
    return ExitCode.GOOD if is_ready(results) else ExitCode.NOT_GOOD
