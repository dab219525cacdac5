"""Ids are stable because people's programs know them: the README lists every one."""

import re
from pathlib import Path

from kvmwizard.checks.judge import judge
from tests.facts_builder import make_facts

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_lists_every_id_and_no_other() -> None:
    listed = re.findall(r"^\| `([a-z_.]+)` \|", README.read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(result.id for result in judge(make_facts()))
