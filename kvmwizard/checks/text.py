"""The checks as a table for a terminal or a pipe."""

from collections.abc import Iterator, Sequence

from kvmwizard.checks.chain import whom_guests_are_for
from kvmwizard.checks.evidence import guest_ran
from kvmwizard.checks.judge import is_ready
from kvmwizard.checks.results import CheckResult, Outcome
from kvmwizard.checks.table import outcome_rows
from kvmwizard.host.facts import Facts
from kvmwizard.words import _, say_many
from kvmwizard.wrapping import printable, wrapped

NEEDS_WORDS = (Outcome.WARN, Outcome.FAIL)


def checks_as_text(
    results: Sequence[CheckResult],
    facts: Facts,
    width: int,
    colour: bool,
    user: str | None = None,
) -> str:
    """The table, the verdict and what to do next, in lines of at most `width` cells.

    `user` is whom the checks were judged for. Without `colour` there is not one escape
    byte. `signs_in_ascii` makes it fit output that is not UTF-8.
    """
    lines = [
        *wrapped(
            _("{host}: can it run KVM guests for {user}?", host=facts.host_name, user=_user(facts, user)),
            width,
        ),
        "",
    ]
    for result in results:
        lines += outcome_rows(result.outcome, tuple(_parts(result)), width, colour)
    lines += ["", *_verdict(results, facts, _user(facts, user), width)]
    return "\n".join(lines) + "\n"


def _user(facts: Facts, user: str | None) -> str:
    return printable(whom_guests_are_for(facts, user))


def _parts(result: CheckResult) -> Iterator[tuple[str, str]]:
    """What is said of a check: a label and a text, the first under its title."""
    yield str(result.title), str(result.found)
    if result.outcome in NEEDS_WORDS:
        yield _("Why"), str(result.why)
    if result.remedy is not None:
        yield _("To do"), str(result.remedy)


def _verdict(results: Sequence[CheckResult], facts: Facts, user: str, width: int) -> list[str]:
    sentences = _ready(results, facts, user) if is_ready(results) else _not_ready(results, user)
    return [line for sentence in sentences for line in wrapped(sentence, width)]


def _not_ready(results: Sequence[CheckResult], user: str) -> Iterator[str]:
    yield _("Not ready: KVM guests cannot run here for {user} yet.", user=user)
    for result in results:
        if result.outcome is not Outcome.FAIL:
            continue
        yield _("{title}: {found}", title=str(result.title), found=str(result.found))
        if result.remedy is not None:
            yield _("To do first: {remedy}", remedy=str(result.remedy))


def _ready(results: Sequence[CheckResult], facts: Facts, user: str) -> Iterator[str]:
    if guest_ran(facts):
        yield _("Ready: KVM guests run here for {user}.", user=user)
    else:
        yield _(
            "Ready as far as could be read: nothing found keeps KVM guests from running for {user}, but no "
            "guest was tried.",
            user=user,
        )
    warnings = sum(result.outcome is Outcome.WARN for result in results)
    if warnings:
        yield str(
            say_many(
                "{count} warning above; guests run all the same.",
                "{count} warnings above; guests run all the same.",
                warnings,
            )
        )
    if any(result.mend is not None for result in results):
        yield _("Next: `kvmwizard` sets up what is missing; `kvmwizard verify` proves it with QEMU.")
    else:
        yield _("Next: `kvmwizard verify` proves it with QEMU.")
