"""Versions as lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kvmwizard.catalog.catalogue import Catalogue, VersionEntry
from kvmwizard.catalog.mark_words import mark_words
from kvmwizard.catalog.version import parse_version
from kvmwizard.plan.spans import span_words
from kvmwizard.words import Words, say, say_many
from kvmwizard.wrapping import wrapped

if TYPE_CHECKING:  # pydantic takes longer than git
    from kvmwizard.catalog.adviser import Verdict

LINES_SHOWN = 12
"""Newest lines of releases that are shown unasked, beside those that are maintained for long."""

VERSION_CELLS = 15
RELEASED_CELLS = 12
LEAST_TEXT_CELLS = 20
"""However narrow the terminal is."""


def newest_lines(entries: Sequence[VersionEntry]) -> tuple[VersionEntry, ...]:
    """The newest release of each of the newest lines, newer candidates, and what stands out."""
    shown = []
    lines: set[str] = set()
    for entry in entries:
        version = parse_version(entry.version)
        if version is None:
            continue
        newest = not entry.candidate and version.line not in lines and len(lines) < LINES_SHOWN
        if newest or (entry.candidate and not lines) or set(entry.marks) & {"longterm", "book"}:
            shown.append(entry)
        if not entry.candidate:
            lines.add(version.line)
    return tuple(shown)


def rows(
    entries: Sequence[VersionEntry], verdicts: "Mapping[str, Verdict]", width: int, *, tags: bool
) -> Iterator[str]:
    """One version after the other, each with what is known of it."""
    start_cells = VERSION_CELLS if tags else VERSION_CELLS + RELEASED_CELLS
    text_cells = max(LEAST_TEXT_CELLS, width - start_cells)
    laid_out: dict[object, list[str]] = {}
    for entry in entries:
        verdict = verdicts.get(entry.version)
        # Of thousands of versions the same is to be said.
        same = (entry.candidate, entry.marks, entry.end_of_life) if verdict is None else entry.version
        if same not in laid_out:
            laid_out[same] = wrapped(_text(entry, verdict), text_cells)
        first, *rest = laid_out[same]
        name = entry.tag if tags else f"{entry.version:{VERSION_CELLS}}{entry.released or ''}"
        yield f"{name:{start_cells}}{first}".rstrip()
        for line in rest:
            yield " " * start_cells + line


def _text(entry: VersionEntry, verdict: "Verdict | None") -> str:
    return "; ".join([*map(str, mark_words(entry)), *([] if verdict is None else [str(_short(verdict))])])


def origin_words(catalogue: Catalogue) -> Words:
    """Where the list is from, and how old it is."""
    if catalogue.origin == "live":
        return say_many(
            "{count} version, asked just now.", "{count} versions, asked just now.", len(catalogue.entries)
        )
    if catalogue.age_seconds is None:
        return say_many(
            "{count} version, of the list that comes with this program.",
            "{count} versions, of the list that comes with this program.",
            len(catalogue.entries),
        )
    return say_many(
        "{count} version, of a list that is {age} old.",
        "{count} versions, of a list that is {age} old.",
        len(catalogue.entries),
        age=span_words(catalogue.age_seconds),
    )


def _short(verdict: "Verdict") -> Words:
    if verdict.outcome == "other-toolchain":
        return say("needs another toolchain")
    if not verdict.certain:
        return say("cannot be foretold yet")
    if verdict.outcome == "with-remedies":
        return say_many("builds with one change", "builds with {count} changes", len(verdict.remedies))
    return say("should build")
