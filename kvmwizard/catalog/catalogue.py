"""What a listing of versions holds."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from kvmwizard.catalog.sources import Project
from kvmwizard.words import Words

Mark = Literal["newest", "longterm", "end-of-life", "book"]
Origin = Literal["live", "cache", "shipped"]


class VersionEntry(NamedTuple):
    """One version that can be chosen; a tuple for the same reason as `Listed`."""

    version: str
    """Without a leading v."""
    tag: str
    """What it is called in git."""
    released: str | None
    """The date, as 2016-10-28; None where no list tells."""
    marks: tuple[Mark, ...]
    candidate: bool
    end_of_life: str | None
    """When its line's maintenance ends or ended, as 2017-01 or as a whole date; None where unknown."""


@dataclass(frozen=True)
class Catalogue:
    """The versions of one project, newest first, candidates among them in their place."""

    project: Project
    entries: tuple[VersionEntry, ...]
    origin: Origin
    """Where most of it is from: asked now, kept from an earlier time, or shipped with the program."""
    age_seconds: float | None
    """How long ago the oldest part of it was true; None for the shipped table, whose date the notice says."""
    notices: tuple[Words, ...]
    """What a person should know about this list: what could not be asked, and why."""
