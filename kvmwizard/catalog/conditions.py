"""Versions as numbers, and conditions on them, as the tables of this package write them. Pure.

A condition is one or more of these, separated by spaces, and all must hold:
`<N`, `>=N`, a version below, or at least N; `absent`; `present`; `yes`; `no`.
"""

import re
from typing import TypeAlias

Known: TypeAlias = str | None
"""A tool's version, or `yes` or `no`; None where the tool is absent."""

_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")
_TERM = re.compile(r"(<|>=)([0-9]{1,9}(?:\.[0-9]{1,9})*)|absent|present|yes|no")


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
    """Whether the version is in the stable series of `release`, at it or after. Raises ValueError."""
    series = numbers(".".join(release.split(".")[:2]))
    number = numbers(version)
    return (*number, 0, 0)[:2] == (*series, 0, 0)[:2] and number >= numbers(release)


def check_condition(condition: str) -> str:
    """The condition itself. Raises ValueError where it is none."""
    terms = condition.split()
    if not terms or not all(_TERM.fullmatch(term) for term in terms):
        raise ValueError(f"no condition: {condition!r}")
    return condition


def holds(condition: str, value: Known) -> bool:
    """Whether the tool is as the condition says."""
    return all(_term_holds(term, value) for term in condition.split())


def _term_holds(term: str, value: Known) -> bool:
    if term in {"absent", "present"}:
        return (value is None) == (term == "absent")
    if value is None or term in {"yes", "no"}:
        return value == term
    if term.startswith("<"):
        return numbers(value) < numbers(term[1:])
    return numbers(value) >= numbers(term[2:])
