"""Ids are stable because people's programs know them: the README lists every one."""

import re
from pathlib import Path
from typing import get_args

from kvmwizard.checks.judge import judge
from kvmwizard.proof.model import LevelId
from tests.facts_builder import make_facts

README = Path(__file__).parents[2] / "README.md"


def ids_in_tables(columns: int) -> list[str]:
    """The ids that begin the rows of the README's tables of so many columns."""
    row = rf"^\| `([a-z_.-]+)`(?: \|[^|\n]+){{{columns - 1}}}\|$"
    return re.findall(row, README.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_readme_lists_every_check_and_no_other() -> None:
    assert sorted(ids_in_tables(columns=4)) == sorted(result.id for result in judge(make_facts()))


def test_the_readme_lists_every_level_of_the_proof_in_its_order() -> None:
    listed = ids_in_tables(columns=2)
    assert [each for each in listed if each in get_args(LevelId)] == list(get_args(LevelId))
