"""One check: its name, its reason, and the five ways it can end."""

from dataclasses import dataclass, replace

from kvmwizard.checks.results import Cause, CheckResult, Mend, Outcome
from kvmwizard.host.reading import Unknown, UnknownReason
from kvmwizard.words import Words, say

AS_ROOT = say("Run `kvmwizard check` as root to learn it.")


@dataclass(frozen=True)
class Check:
    """What is asked of the machine, under a stable and documented id."""

    id: str
    title: Words
    why: Words

    def passed(self, found: Words) -> CheckResult:
        """Nothing needs doing."""
        return self._result(Outcome.PASS, found)

    def not_applicable(self, found: Words) -> CheckResult:
        """It does not matter on this machine, or another check comes first."""
        return self._result(Outcome.NOT_APPLICABLE, found)

    def warned(
        self, found: Words, remedy: Words, cause: Cause | None = None, mend: Mend | None = None
    ) -> CheckResult:
        """Guests run, but something is less than it could be."""
        return self._result(Outcome.WARN, found, remedy, cause, mend)

    def failed(
        self, found: Words, remedy: Words, cause: Cause | None = None, mend: Mend | None = None
    ) -> CheckResult:
        """No KVM guest can run for the user in question until this is put right."""
        return self._result(Outcome.FAIL, found, remedy, cause, mend)

    def unknown(self, reading: Unknown) -> CheckResult:
        """The machine did not say; the reader is told why, and how to learn it."""
        remedy = AS_ROOT if reading.unknown is UnknownReason.NOT_PERMITTED else None
        return self._result(Outcome.UNKNOWN, why_unknown(reading), remedy)

    def undecided(self, found: Words, remedy: Words | None = None) -> CheckResult:
        """All was read, and it does not decide the question."""
        return self._result(Outcome.UNKNOWN, found, remedy)

    def _result(
        self,
        outcome: Outcome,
        found: Words,
        remedy: Words | None = None,
        cause: Cause | None = None,
        mend: Mend | None = None,
    ) -> CheckResult:
        return CheckResult(
            id=self.id,
            title=self.title,
            outcome=outcome,
            found=found,
            why=self.why,
            remedy=remedy,
            cause=cause,
            mend=mend,
        )


def why_unknown(reading: Unknown) -> Words:
    """Why a thing could not be learnt."""
    if reading.detail:
        return replace(DETAILED[reading.unknown], places={"detail": reading.detail})
    return PLAIN[reading.unknown]


PLAIN = {
    UnknownReason.NOT_PERMITTED: say("It may not be read by this user."),
    UnknownReason.NOT_READABLE: say("It could not be read."),
    UnknownReason.NOT_LIVE: say("Only the running kernel can say, and this is a recorded machine."),
    UnknownReason.NOT_SHOWN: say("Nothing on this machine shows it."),
    UnknownReason.NOT_UNDERSTOOD: say("What the machine says of it was not understood."),
    UnknownReason.TIMED_OUT: say("The answer did not come in time."),
}

DETAILED = {
    UnknownReason.NOT_PERMITTED: say("It may not be read by this user ({detail})."),
    UnknownReason.NOT_READABLE: say("It could not be read ({detail})."),
    UnknownReason.NOT_LIVE: say(
        "Only the running kernel can say, and this is a recorded machine ({detail})."
    ),
    UnknownReason.NOT_SHOWN: say("Nothing on this machine shows it ({detail})."),
    UnknownReason.NOT_UNDERSTOOD: say("What the machine says of it was not understood ({detail})."),
    UnknownReason.TIMED_OUT: say("The answer did not come in time ({detail})."),
}
