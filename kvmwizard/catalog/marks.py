"""From bare versions to what a person chooses from: in order, with what is known of each. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from kvmwizard.catalog.catalogue import Mark, VersionEntry
from kvmwizard.catalog.listed import Listed
from kvmwizard.catalog.shipped import shipped_table
from kvmwizard.catalog.sources import Project
from kvmwizard.catalog.version import Version, parse_version

MAINTAINED_LINES = 2
"""A line that is not for long is maintained until a little after the next one begins."""


@dataclass(frozen=True)
class _Standing:
    """How one line of Linux stands."""

    longterm: bool
    ended: bool
    end_of_life: str | None


UNKNOWN = _Standing(longterm=False, ended=False, end_of_life=None)


def marked(project: Project, listed: Iterable[Listed], today: str) -> tuple[VersionEntry, ...]:
    """The versions with their marks, newest first.

    Args:
        project: whose they are.
        listed: in any order, and repeated where several lists have them; what says more counts.
        today: as 2026-11-22; lines end by it.
    """
    told = _merged(listed)
    versions = [version for version in map(parse_version, told) if version is not None]
    versions.sort(key=attrgetter("order"), reverse=True)
    lined = [(version, version.line) for version in versions]
    newest_of_lines: dict[str, Version] = {}
    for version, line in lined:
        if version.candidate is None and line not in newest_of_lines:
            newest_of_lines[line] = version
    standings = _standings(newest_of_lines, told, today) if project == "linux" else {}
    special = _special_marks(project, versions, newest_of_lines, standings)
    entries = []
    for version, line in lined:
        standing = standings.get(line, UNKNOWN)
        marks = special.get(version.text)
        entries.append(
            VersionEntry(
                version.text,
                f"v{version.text}",
                told[version.text].released,
                marks if marks is not None else _end_mark(standing),
                version.candidate is not None,
                standing.end_of_life,
            )
        )
    return tuple(entries)


def _special_marks(
    project: Project,
    versions: Iterable[Version],
    newest_of_lines: Mapping[str, Version],
    standings: Mapping[str, _Standing],
) -> dict[str, tuple[Mark, ...]]:
    """All marks of the few versions that have more of them than the rest of their line."""
    special: dict[str, tuple[Mark, ...]] = {}
    newest = next(iter(newest_of_lines.values()), None)
    for line, version in newest_of_lines.items():
        standing = standings.get(line, UNKNOWN)
        if version is newest or standing.longterm:
            newest_mark: tuple[Mark, ...] = ("newest",) if version is newest else ()
            longterm: tuple[Mark, ...] = ("longterm",) if standing.longterm else ()
            special[version.text] = (*newest_mark, *longterm, *_end_mark(standing))
    book = parse_version(shipped_table(project).book)
    for version in versions:
        if book is not None and version.order == book.order:
            others = special.get(version.text, _end_mark(standings.get(version.line, UNKNOWN)))
            special[version.text] = (*others, "book")
    return special


def _end_mark(standing: _Standing) -> tuple[Mark, ...]:
    return ("end-of-life",) if standing.ended else ()


def _merged(listed: Iterable[Listed]) -> dict[str, Listed]:
    told: dict[str, Listed] = {}
    for version in listed:
        known = told.get(version.version)
        if known is None or _says(version) > _says(known):
            told[version.version] = version
    return told


def _says(listed: Listed) -> tuple[bool, bool]:
    return listed.moniker is not None, listed.released is not None


def _standings(
    newest_of_lines: Mapping[str, Version], told: Mapping[str, Listed], today: str
) -> dict[str, _Standing]:
    """Each line of Linux; kernel.org's word goes before the shipped table's."""
    heads = {
        version.line: listed
        for listed in told.values()
        if listed.moniker is not None
        and (version := parse_version(listed.version)) is not None
        and version.candidate is None
    }
    shipped = shipped_table("linux").lines
    standings = {}
    for place, line in enumerate(newest_of_lines):
        known = shipped.get(line)
        if heads:
            head = heads.get(line)
            longterm = head is not None and head.moniker == "longterm" and not head.ended
            ended = head is None or head.ended
        else:
            # A month is over when the next one begins: "2026-12" ends before "2027-01-01" alone.
            over = known is not None and known.end_of_life < today[: len(known.end_of_life)]
            longterm = known is not None and known.longterm and not over
            ended = over or (known is None and place >= MAINTAINED_LINES)
        standings[line] = _Standing(longterm, ended, known.end_of_life if known is not None else None)
    return standings
