"""Explains the log of a build or a boot by the table of what builds with what. Pure."""

import re

from kvmwizard.catalog.compatibility import Rule, compatibility, remedy_entry
from kvmwizard.catalog.sources import Project
from kvmwizard.words import Words, say


def known_failure(project: Project, version: str, log_text: str) -> Words | None:
    """Why it failed and what helps, where the table knows what the log shows; else None."""
    for rule in compatibility().rule:
        if rule.symptom is not None and _is_for(rule, project, version) and re.search(rule.symptom, log_text):
            return _explained(rule, version)
    return None


def _is_for(rule: Rule, project: Project, version: str) -> bool:
    try:
        return rule.is_for(project, version)
    except ValueError:  # a name that a tree of the person's gave itself
        return rule.project == project and rule.first is None and rule.end is None


def _explained(rule: Rule, version: str) -> Words:
    cause = Words(template=rule.failure or rule.words, places={"version": version})
    if not rule.remedies:
        return cause
    return say(
        "{cause} The change \u201c{change}\u201d helps: agree to it on the page of build options, and make a "
        "new plan.",
        cause=cause,
        change=Words(template=remedy_entry(rule.remedies[0]).title),
    )
