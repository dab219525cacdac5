"""What a report holds, for people to read before it is written."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from kvmwizard.plan.spans import size_words
from kvmwizard.report.collect import Report
from kvmwizard.report.secret import Kind, counted
from kvmwizard.words import Words, say

SIZE_CELLS = 9


def report_lines(report: Report) -> Iterator[str]:
    """Each file with its size and what was taken out of it, then what is missing."""
    width = max(len(file.name) for file in report.files)
    for file in report.files:
        taken = "; ".join(str(words) for words in taken_words(file.taken))
        yield f"{file.name:{width}}  {size_words(len(file.content))!s:>{SIZE_CELLS}}  {taken}".rstrip()
        if file.note is not None:
            yield f"{'':{width}}  {file.note}"
    for each in report.missing:
        yield str(say("{file} is missing: {why}", file=each.name, why=each.why))
    yield str(in_all(report))


def in_all(report: Report) -> Words:
    """What was taken out of all of it, or that nothing was."""
    if report.with_names:
        return say("Names of people and machines, addresses and serial numbers are left in, as you asked.")
    taken = sum((file.taken for file in report.files), Counter[Kind]())
    if not taken:
        return say("Nothing in it names a person or a machine.")
    return say("Taken out: {list}.", list="; ".join(str(words) for words in taken_words(taken)))


def taken_words(taken: Counter[Kind]) -> list[Words]:
    """How much of each kind was taken out."""
    return [counted(kind, taken[kind]) for kind in Kind if taken[kind]]


def report_as_json(report: Report) -> dict[str, Any]:
    """The same, for programs."""
    return {
        "with_names": report.with_names,
        "files": [
            {
                "name": file.name,
                "bytes": len(file.content),
                "taken_out": {kind.value: count for kind, count in sorted(file.taken.items())},
                "note": file.note.english if file.note is not None else None,
            }
            for file in report.files
        ],
        "missing": [{"name": each.name, "why": each.why.english} for each in report.missing],
    }
