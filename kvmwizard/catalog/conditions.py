"""Conditions on tools, as assets/compatibility.toml writes them. Pure.

A condition is one or more of these, separated by spaces, and all must hold:
`<N`, `>=N`, a version below, or at least N; `absent`; `present`; `yes`; `no`.
"""

import re
from typing import TypeAlias

from kvmwizard.packages.ranges import numbers

Known: TypeAlias = str | None
"""A tool's version, or `yes` or `no`; None where the tool is absent."""

_TERM = re.compile(r"(<|>=)([0-9]{1,9}(?:\.[0-9]{1,9})*)|absent|present|yes|no")


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
