"""The table is whole: what it names is there, what it says can be said."""

import re
from string import Formatter

import pytest

from kvmwizard.catalog.compatibility import RemedyEntry, Rule, compatibility, remedy_entry
from kvmwizard.catalog.tools import LIBRARIES, OF_GCC, PROGRAMS
from kvmwizard.packages.ranges import numbers
from kvmwizard.resources import asset_path
from kvmwizard.text_rules import REMEDY

TOOLS = {*PROGRAMS, *LIBRARIES, *OF_GCC, "clang", "python2", "python2_packages", "openssl_engine"}
RULES, REMEDIES = compatibility().rule, compatibility().remedy


def test_ids_are_unique() -> None:
    for entries in (RULES, REMEDIES):
        ids = [entry.id for entry in entries]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule(rule: Rule) -> None:
    assert rule.source
    assert rule.id.startswith(rule.project)
    assert not (rule.remedies and rule.other_toolchain)
    advises = bool(rule.remedies) or rule.other_toolchain
    assert advises == bool(rule.tools)
    assert advises or rule.symptom, "a rule that neither advises nor explains"
    assert set(rule.tools) <= TOOLS
    assert all(remedy_entry(remedy) for remedy in rule.remedies)
    if rule.first and rule.end:
        assert numbers(rule.first) < numbers(rule.end)
    for release in rule.fixed:
        assert not rule.is_for(rule.project, release)
    places = {name for _, name, _, _ in Formatter().parse(rule.words) if name}
    assert places <= {"version", *rule.tools}, "a place that nobody can fill"
    assert rule.words.endswith(".")


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.id)
def test_a_remedy(remedy: RemedyEntry) -> None:
    assert remedy.source
    assert re.fullmatch(REMEDY, remedy.id)
    assert any(remedy.id in rule.remedies for rule in RULES), "a remedy that no rule names"
    assert not remedy.title.endswith(".")
    assert remedy.why.endswith(".")
    assert all(asset_path(patch).is_file() for patch in remedy.patches)
    assert all(asset_path(shim).is_dir() for shim in remedy.shims)
    changes = (remedy.make_variables, remedy.patches, remedy.shims, remedy.symbols)
    assert any(changes) or remedy.python2


@pytest.mark.parametrize("patch", [patch for remedy in REMEDIES for patch in remedy.patches])
def test_a_patch_says_where_it_is_from_and_has_little_context(patch: str) -> None:
    text = asset_path(patch).read_text(encoding="ascii")
    about, _, change = text.partition("\n--- ")
    assert "commit" in about
    added = [line for line in change.splitlines() if line.startswith("+") and not line.startswith("+++")]
    hunks = change.count("\n@@ ")
    context = [line for line in change.splitlines() if line.startswith((" ", "\t"))]
    assert added
    assert len(context) <= 2 * hunks
