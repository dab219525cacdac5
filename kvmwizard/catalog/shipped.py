"""The small table of versions that comes with the program (assets/versions.toml)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from kvmwizard.catalog.sources import Project
from kvmwizard.resources import asset_path


@dataclass(frozen=True)
class ShippedVersion:
    """A version that is known to exist."""

    version: str
    released: str | None
    """As 2016-10-28; None where the table does not say."""


@dataclass(frozen=True)
class Line:
    """A line of releases whose end is known."""

    line: str
    """As 6.12."""
    end_of_life: str
    """A month or a day, as 2028-12: from then on nobody mends it."""
    longterm: bool


@dataclass(frozen=True)
class ShippedTable:
    """What is known of one project without asking anybody."""

    as_of: str
    """The day it was true, as 2026-11-22."""
    versions: tuple[ShippedVersion, ...]
    lines: dict[str, Line]
    """By the line's name."""
    book: str
    """The version that the book builds."""
    sha256: dict[str, str]
    """Published sums of tarballs, by file name."""
    commits: dict[str, str]
    """What tags are known to point to."""


@cache
def shipped_table(project: Project) -> ShippedTable:
    """The project's part of the table."""
    document: dict[str, Any] = tomllib.loads(asset_path("versions.toml").read_text(encoding="utf-8"))
    table = document[project]
    return ShippedTable(
        as_of=document["as_of"],
        versions=tuple(
            ShippedVersion(version=entry["version"], released=entry.get("released"))
            for entry in table["versions"]
        ),
        lines={
            entry["line"]: Line(
                line=entry["line"], end_of_life=entry["end_of_life"], longterm=entry.get("longterm", True)
            )
            for entry in table["lines"]
        },
        book=table["book"],
        sha256=dict(table["sha256"]),
        commits=dict(table.get("commits", {})),
    )


def published_sha256(project: Project, file_name: str) -> str | None:
    """The tarball's SHA-256 as it was published; None where the table has none."""
    return shipped_table(project).sha256.get(file_name)


def published_commit(project: Project, tag: str) -> str | None:
    """The commit that the tag is known to point to; None where the table has none."""
    return shipped_table(project).commits.get(tag)
