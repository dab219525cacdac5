"""From bare versions to what a person chooses from: in order, with what is known of each. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from kvmwizard.catalog.catalogue import Mark, VersionEntry
from kvmwizard.catalog.names import Listed
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


def marked(project: Project, listed: Iterable[Listed], today: str) -> tuple[VersionEntry, ...]:
    """The versions with their marks, newest first.

    Args:
        project: whose they are.
        listed: in any order, and repeated where several lists have them; what says more counts.
        today: as 2026-11-22; lines end by it.
    """
    told = _merged(listed)
    parsed = (version for version in map(parse_version, told) if version is not None)
    versions = sorted(parsed, key=attrgetter("order"), reverse=True)
    releases = [version for version in versions if version.candidate is None]
    standings = _standings(releases, told, today) if project == "linux" else {}
    newest_of_line: dict[str, Version] = {}
    for version in releases:
        newest_of_line.setdefault(version.line, version)
    book = parse_version(shipped_table(project).book)
    entries = []
    for version in versions:
        standing = standings.get(version.line)
        marks: list[Mark] = []
        if releases and version is releases[0]:
            marks.append("newest")
        if standing is not None and standing.longterm and newest_of_line.get(version.line) is version:
            marks.append("longterm")
        if standing is not None and standing.ended:
            marks.append("end-of-life")
        if version == book:
            marks.append("book")
        entries.append(
            VersionEntry(
                version=version.text,
                tag=version.tag,
                released=told[version.text].released,
                marks=tuple(marks),
                candidate=version.candidate is not None,
                end_of_life=standing.end_of_life if standing is not None else None,
            )
        )
    return tuple(entries)


def _merged(listed: Iterable[Listed]) -> dict[str, Listed]:
    told: dict[str, Listed] = {}
    for version in listed:
        known = told.get(version.version)
        if known is None or _says(version) > _says(known):
            told[version.version] = version
    return told


def _says(listed: Listed) -> tuple[bool, bool]:
    return listed.moniker is not None, listed.released is not None


def _standings(releases: list[Version], told: Mapping[str, Listed], today: str) -> dict[str, _Standing]:
    """Each line of Linux; kernel.org's word goes before the shipped table's."""
    heads: dict[str, Listed] = {}
    for version in releases:
        listed = told[version.text]
        if listed.moniker is not None:
            heads.setdefault(version.line, listed)
    lines = list(dict.fromkeys(version.line for version in releases))
    shipped = shipped_table("linux").lines
    standings = {}
    for place, line in enumerate(lines):
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
