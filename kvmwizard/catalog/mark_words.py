"""What a version's marks say to a person."""

import datetime as dt

from kvmwizard.catalog.catalogue import Mark, VersionEntry
from kvmwizard.words import Words, say

MARK_WORDS: dict[Mark, Words] = {
    "newest": say("newest"),
    "longterm": say("long-term"),
    "end-of-life": say("end of life"),
    "book": say("as in the book"),
}


def mark_words(entry: VersionEntry) -> tuple[Words, ...]:
    """Each mark, with its date where that is known; and that it is a candidate, where it is."""
    marks = tuple(_mark(mark, entry.end_of_life) for mark in entry.marks)
    return (say("release candidate"), *marks) if entry.candidate else marks


def _mark(mark: Mark, end_of_life: str | None) -> Words:
    if end_of_life is not None and mark == "longterm":
        return say("long-term until {date}", date=end_of_life)
    # A line can be given up before the date that was told for it, which then says nothing.
    today = dt.datetime.now(dt.UTC).date().isoformat()
    if end_of_life is not None and mark == "end-of-life" and end_of_life <= today:
        return say("end of life since {date}", date=end_of_life)
    return MARK_WORDS[mark]
