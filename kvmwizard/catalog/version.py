"""Version numbers as Linux and QEMU write them, in their order."""

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache, total_ordering

SHAPE = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}(?:-rc[0-9]{1,3})?", re.ASCII)
"""The same as `text_rules.VERSION` allows."""

MOST_REMEMBERED = 1 << 15
"""Texts; a list of versions is gone through several times, and none has more."""


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """One version: numbers, and for a release candidate which one it is.

    In order, a candidate comes before its release, and X.Y is the same as X.Y.0.
    """

    text: str
    """As its project writes it, without a leading v."""
    numbers: tuple[int, ...]
    candidate: int | None

    @cached_property
    def order(self) -> tuple[tuple[int, ...], float]:
        """What sorts versions."""
        numbers = self.numbers
        while numbers and numbers[-1] == 0:
            numbers = numbers[:-1]
        return (numbers, math.inf if self.candidate is None else self.candidate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.order == other.order

    def __lt__(self, other: "Version") -> bool:
        return self.order < other.order

    def __hash__(self) -> int:
        return hash(self.order)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def line(self) -> str:
        """The line of releases that it belongs to, as 6.12."""
        return ".".join(map(str, self.numbers[:2]))

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
    numbers, _dash, candidate = plain.partition("-rc")
    return Version(
        text=plain,
        numbers=tuple(map(int, numbers.split("."))),
        candidate=int(candidate) if candidate else None,
    )
