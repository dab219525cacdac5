"""The checks as a table for a terminal or a pipe."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from kvmwizard.checks.evidence import guest_ran
from kvmwizard.checks.judge import is_ready
from kvmwizard.checks.results import CheckResult, Outcome
from kvmwizard.host.facts import Facts
from kvmwizard.words import _, say_many
from kvmwizard.wrapping import padded, printable, wrapped

SYMBOLS = {
    Outcome.PASS: "✔",
    Outcome.WARN: "!",
    Outcome.FAIL: "✖",
    Outcome.UNKNOWN: "?",
    Outcome.NOT_APPLICABLE: "–",  # noqa: RUF001  -- a dash is meant
}

COLOURS = {
    Outcome.PASS: "\x1b[32m",
    Outcome.WARN: "\x1b[33m",
    Outcome.FAIL: "\x1b[1;31m",
    Outcome.UNKNOWN: "\x1b[36m",
    Outcome.NOT_APPLICABLE: "\x1b[2m",
}
PLAIN = "\x1b[0m"

OUTCOME_WIDTH = 10
TITLE_WIDTH = 26
TABLE_WIDTH = 64
"""In less, what was found stands below the title instead of beside it."""
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
        lines += _rows(result, width, colour=colour)
    lines += ["", *_verdict(results, facts, _user(facts, user), width)]
    return "\n".join(lines) + "\n"


def outcome_word(outcome: Outcome) -> str:
    """The outcome in the reader's language."""
    words = {
        Outcome.PASS: _("pass"),
        Outcome.WARN: _("warn"),
        Outcome.FAIL: _("FAIL"),
        Outcome.UNKNOWN: _("unknown"),
        Outcome.NOT_APPLICABLE: _("n/a"),
    }
    return words[outcome]


def _user(facts: Facts, user: str | None) -> str:
    return printable(user or facts.users.person or "root")


def _rows(result: CheckResult, width: int, *, colour: bool) -> Iterator[str]:
    marked = f"{SYMBOLS[result.outcome]} {outcome_word(result.outcome)}"
    lines = _beside(result, marked, width) if width >= TABLE_WIDTH else _below(result, marked, width)
    for number, line in enumerate(lines):
        if colour and number == 0:
            # The first line begins with the sign and its word, and only these are coloured.
            yield COLOURS[result.outcome] + marked + PLAIN + line.removeprefix(marked)
        else:
            yield line


def _parts(result: CheckResult) -> Iterator[tuple[str, str]]:
    """What is said of a check: a label and a text, the first under its title."""
    yield str(result.title), str(result.found)
    if result.outcome in NEEDS_WORDS:
        yield _("Why"), str(result.why)
    if result.remedy is not None:
        yield _("To do"), str(result.remedy)


def _beside(result: CheckResult, marked: str, width: int) -> Iterator[str]:
    first = padded(marked, OUTCOME_WIDTH)
    indent = ""
    for label, text in _parts(result):
        labels = [indent + line for line in wrapped(label, TITLE_WIDTH - 1 - len(indent))]
        texts = wrapped(text, width - OUTCOME_WIDTH - TITLE_WIDTH)
        for left, right in zip_longest(labels, texts, fillvalue=""):
            yield (first + padded(left, TITLE_WIDTH) + right).rstrip()
            first = " " * OUTCOME_WIDTH
        indent = "  "


def _below(result: CheckResult, marked: str, width: int) -> Iterator[str]:
    yield from wrapped(f"{marked} {result.title}", width)
    for number, (label, text) in enumerate(_parts(result)):
        said = _("{label}: {text}", label=label, text=text) if number else text
        for line in wrapped(said, max(width - 2, 2)):
            yield f"  {line}"


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
    yield _("Next: `kvmwizard` sets up what is missing; `kvmwizard verify` proves it with QEMU.")
