"""Versions are compared as numbers, and ranges hold their first and not their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmwizard.packages.ranges import in_range, in_series_from, numbers

VERSIONS = st.lists(st.integers(0, 999), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("6.9", "6.10"), ("4.8.5", "4.8.15"), ("2.7.0", "10.1"), ("5.1", "5.10"), ("4.8", "4.8.1")],
)
def test_order(lower: str, higher: str) -> None:
    assert numbers(lower) < numbers(higher)


def test_zeros_at_the_end_say_nothing() -> None:
    assert numbers("6.1") == numbers("6.1.0") == numbers("6.1.0-rc3")


@pytest.mark.parametrize("text", ["", "v6.1", "mine", "-1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        numbers(text)


@pytest.mark.parametrize(
    ("version", "first", "end", "inside"),
    [
        ("4.16", None, "4.16", False),
        ("4.15.99", None, "4.16", True),
        ("5.8", "5.8", "5.15", True),
        ("5.7.19", "5.8", "5.15", False),
        ("6.16-rc1", "6.16", None, True),
        ("2.11.2", None, "2.12", True),
    ],
)
def test_ranges(version: str, first: str | None, end: str | None, inside: bool) -> None:
    assert in_range(version, first, end) is inside


@given(version=VERSIONS, border=VERSIONS)
def test_a_border_parts_all_versions_in_two(version: str, border: str) -> None:
    assert in_range(version, border, None) is not in_range(version, None, border)


@pytest.mark.parametrize(
    ("version", "fixed"),
    [
        ("4.9.88", True),
        ("4.9.300", True),
        ("4.9.87", False),
        ("4.10.1", False),
        ("4.9", False),
        ("4.90.88", False),
    ],
)
def test_a_fix_in_a_stable_series_is_that_series_alone(version: str, fixed: bool) -> None:
    assert in_series_from(version, "4.9.88") is fixed
