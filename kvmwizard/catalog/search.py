"""Finding versions by what a person types, fast enough to be asked at every key."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvmwizard.catalog.catalogue import Mark, VersionEntry

MOST_SHOWN = 300
"""More rows than that cost a terminal more than they help a person."""

MARK_NAMES: dict[Mark, tuple[str, ...]] = {
    "newest": ("newest", "latest"),
    "longterm": ("longterm", "long-term", "lts"),
    "end-of-life": ("end-of-life", "eol"),
    "book": ("book",),
}
"""What people call the marks."""

SEPARATOR = "\n"
"""Stands in no version and no mark, so a match never spans two of them."""


@dataclass(frozen=True)
class Found:
    """What a search found."""

    entries: tuple[VersionEntry, ...]
    """At most as many as asked for, in the catalogue's order, those that begin with the text first."""
    total: int
    """How many match in all."""


class VersionIndex:
    """The entries, each beside the text that is searched."""

    def __init__(self, entries: Sequence[VersionEntry]) -> None:
        self._entries = tuple(entries)
        self._lines = [_line(entry) for entry in self._entries]

    def search(self, text: str, limit: int = MOST_SHOWN) -> Found:
        """The entries that have every word of the text in their version, tag or marks."""
        words = text.lower().split()
        if not words:
            return Found(self._entries[:limit], len(self._entries))
        matching = list(range(len(self._lines)))
        for word in words:
            matching = [index for index in matching if word in self._lines[index]]
        starts = (f"{SEPARATOR}{words[0]}", f"{SEPARATOR}v{words[0]}")
        first = [index for index in matching if any(start in self._lines[index] for start in starts)]
        rest = set(first)
        ordered = [*first, *(index for index in matching if index not in rest)]
        return Found(tuple(self._entries[index] for index in ordered[:limit]), len(matching))


def _line(entry: VersionEntry) -> str:
    names = (name for mark in entry.marks for name in MARK_NAMES[mark])
    return SEPARATOR.join(("", entry.version, entry.tag, *names, ""))
