"""Hardware: what this machine can do, check by check."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from kvmwizard.checks.results import CheckResult, Outcome
from kvmwizard.words import _, say_many
from screens.page import Page
from screens.widgets.entries import Entry, Part, Sign

OUTCOME_SIGNS = {
    Outcome.PASS: Sign.PASSED,
    Outcome.WARN: Sign.WARNED,
    Outcome.FAIL: Sign.FAILED,
    Outcome.UNKNOWN: Sign.UNKNOWN,
    Outcome.NOT_APPLICABLE: Sign.NOT_APPLICABLE,
}


def check_entry(result: CheckResult) -> Entry:
    """One check as a line of the list."""
    parts = [Part(_("Found"), str(result.found)), Part(_("Why"), str(result.why))]
    if result.remedy is not None:
        parts.append(Part(_("To do"), str(result.remedy)))
    return Entry(
        id=result.id,
        sign=OUTCOME_SIGNS[result.outcome],
        title=str(result.title),
        detail=str(result.found),
        explanation=tuple(parts),
    )


class HardwarePage(Page):
    """The checks' results."""

    PAGE = "hardware"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "check_again", _("Check again"), tooltip=_("Read and judge this machine once more")),
    ]

    def question(self) -> str:
        """The verdict, or what is being waited for."""
        if self.state.machine is None:
            return _("Reading this machine. This takes about a second.")
        failed = sum(result.outcome is Outcome.FAIL for result in self.state.machine.results)
        if failed == 0:
            return _("Guests can run here with KVM.")
        return str(
            say_many(
                "One thing keeps guests from running with KVM; the line explains it.",
                "{count} things keep guests from running with KVM; each line explains itself.",
                failed,
            )
        )

    def entries(self) -> tuple[Entry, ...]:
        """A line a check."""
        return () if self.state.machine is None else tuple(map(check_entry, self.state.machine.results))

    def first_selected(self) -> str | None:
        """What failed is looked at first."""
        entries = self.entries()
        return next((entry.id for entry in entries if entry.sign is Sign.FAILED), None)

    def action_check_again(self) -> None:
        """Read the machine once more."""
        if self.state.machine is not None:
            self.post_message(self.CheckAgain())
