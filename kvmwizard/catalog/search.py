"""Finding versions by what a person types, fast enough to be asked at every key."""

import re
from collections.abc import Iterable, Sequence
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
        """The entries that have every word of the text in their version, tag or marks.

        A word stands for what begins with it: 4.8 is found in 4.8.5 and 5.4.8, not in 6.14.8.
        """
        words = text.lower().split()
        if not words:
            return Found(self._entries[:limit], len(self._entries))
        matching: Iterable[int] = range(len(self._lines))
        for word in words:
            matching = self._having(word, matching)
        found = list(matching)
        starts = (f"{SEPARATOR}{words[0]}", f"{SEPARATOR}v{words[0]}")
        first = [index for index in found if self._lines[index].startswith(starts)]
        begun = set(first)
        ordered = [*first, *(index for index in found if index not in begun)]
        return Found(tuple(self._entries[index] for index in ordered[:limit]), len(found))

    def _having(self, word: str, among: Iterable[int]) -> list[int]:
        lines = self._lines
        # The plain search leaves little over for the one that looks at what stands before.
        having = [index for index in among if word in lines[index]]
        begins = re.compile(rf"(?<![0-9a-z]){re.escape(word)}").search
        return [index for index in having if begins(lines[index])]


def _line(entry: VersionEntry) -> str:
    names = (name for mark in entry.marks for name in MARK_NAMES[mark])
    return SEPARATOR.join(("", entry.version, entry.tag, *names, ""))
