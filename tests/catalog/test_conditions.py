"""Conditions on tools."""

import pytest

from kvmwizard.catalog.conditions import check_condition, holds


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        (">=2.31", "2.31", True),
        (">=2.31", "2.4", False),
        (">=2.31", "2.40", True),
        ("<5.1", "4.8.5", True),
        ("<5.1", "5.1", False),
        (">=10 <15", "12.2.0", True),
        (">=10 <15", "15.1", False),
        ("<3.6", None, False),
        (">=3.6", None, False),
        ("absent", None, True),
        ("absent", "2.7.18", False),
        ("present", "2.7.18", True),
        ("yes", "yes", True),
        ("yes", "no", False),
        ("no", None, False),
    ],
)
def test_conditions(condition: str, value: str | None, expected: bool) -> None:
    assert holds(check_condition(condition), value) is expected


@pytest.mark.parametrize("condition", ["", "2.31", "=2", ">2.31", ">= 2.31", "maybe", ">=2.31;"])
def test_what_is_no_condition_is_refused(condition: str) -> None:
    with pytest.raises(ValueError, match="no condition"):
        check_condition(condition)
