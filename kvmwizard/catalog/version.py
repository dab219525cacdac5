"""Version numbers as Linux and QEMU write them, in their order."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache, total_ordering

SHAPE = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}(?:-rc[0-9]{1,3})?", re.ASCII)
"""The same as `text_rules.VERSION` allows."""

MOST_REMEMBERED = 1 << 15
"""Texts; a list of versions is gone through several times, and none has more."""


@total_ordering
@dataclass(eq=False, slots=True)
class Version:
    """One version: numbers, and for a release candidate which one it is.

    In order, a candidate comes before its release, and X.Y is the same as X.Y.0.
    Made by `parse_version` and never changed; not frozen, since lists have
    thousands of them.
    """

    text: str
    """As its project writes it, without a leading v."""
    numbers: tuple[int, ...]
    candidate: int | None
    order: tuple[tuple[int, ...], float]
    """What sorts versions."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.order == other.order

    def __lt__(self, other: "Version") -> bool:
        return self.order < other.order

    def __hash__(self) -> int:
        return hash(self.order)

    def __str__(self) -> str:
        return self.text

    @property
    def line(self) -> str:
        """The line of releases that it belongs to, as 6.12."""
        return f"{self.numbers[0]}.{self.numbers[1]}"

    @property
    def tag(self) -> str:
        """What both projects call the version in git."""
        return f"v{self.text}"


@lru_cache(maxsize=MOST_REMEMBERED)
def parse_version(text: str) -> Version | None:
    """The version that the text is, with or without a leading v; None for any other text."""
    plain = text.removeprefix("v")
    if SHAPE.fullmatch(plain) is None:
        return None
    written, _dash, candidate = plain.partition("-rc")
    numbers = tuple(map(int, written.split(".")))
    counting = numbers
    while counting and counting[-1] == 0:
        counting = counting[:-1]
    number = int(candidate) if candidate else None
    return Version(plain, numbers, number, (counting, math.inf if number is None else number))
