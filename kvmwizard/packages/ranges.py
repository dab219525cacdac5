"""Ranges of versions, as the data files write them: the first inside, the end outside. Pure."""

import re

_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")


def numbers(version: str) -> tuple[int, ...]:
    """The version's leading numbers, `6.10` above `6.9`, and `6.1` the same as `6.1.0`.

    A release candidate counts as its release: what a release mended was mended
    in most of its candidates.

    Raises:
        ValueError: for what begins with no number.
    """
    found = _NUMBERS.match(version)
    if found is None:
        raise ValueError(version)
    parts = [int(part) for part in found[0].split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def in_range(version: str, first: str | None, end: str | None) -> bool:
    """Whether the version is `first` or above, and below `end`; None is no limit. Raises ValueError."""
    number = numbers(version)
    return (first is None or number >= numbers(first)) and (end is None or number < numbers(end))


def in_series_from(version: str, release: str) -> bool:
    """Whether the version is in the stable series X.Y of `release`, at it or after. Raises ValueError."""
    number, fixed = numbers(version), numbers(release)
    return (*number, 0)[:2] == (*fixed, 0)[:2] and number >= fixed
