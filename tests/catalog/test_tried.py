"""The adviser's verdicts against what really became of versions that are too old to be tried in every run."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.catalog.adviser import advise
from kvmwizard.catalog.compatibility import remedy_entry
from kvmwizard.catalog.known_failures import known_failure
from tests.catalog.test_adviser import DEBIAN_12

PAIRS: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("tried.toml").read_text(encoding="utf-8")
)["pair"]


def name_of(pair: dict[str, Any]) -> str:
    compiler = "-".join(pair["tools"].values())
    return f"{pair['project']}-{pair['version']}-{compiler}-{'+'.join(pair['given']) or 'nothing'}"


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_the_verdict_is_what_came_of_it(pair: dict[str, Any]) -> None:
    tools = replace(DEBIAN_12, versions={**DEBIAN_12.versions, **pair["tools"]})
    verdict = advise(pair["project"], pair["version"], tools)
    assert verdict.outcome != "other-toolchain"
    missing = {remedy.id for remedy in verdict.remedies} - set(pair["given"])
    assert (not missing) is pair["good"], missing
    if not pair["good"]:
        explained = known_failure(pair["project"], pair["version"], pair["said"])
        assert explained is not None
        assert any(remedy_entry(remedy).title in explained.english for remedy in missing)
