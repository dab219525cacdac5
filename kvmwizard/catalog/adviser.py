"""What this machine's toolchain makes of a version: shown at the choice, not after compiling. Pure.

The rules are data with their sources (assets/compatibility.toml). What they
say is never more than that nothing is known against a build; that a kernel
boots is shown by booting it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kvmwizard.catalog.compatibility import RemedyEntry, Rule, compatibility, remedy_entry
from kvmwizard.catalog.conditions import holds
from kvmwizard.catalog.sources import PROJECT_NAMES, Project
from kvmwizard.catalog.tools import UNNUMBERED, Tools, tools_of
from kvmwizard.catalog.ways import ways
from kvmwizard.packages.ranges import in_range
from kvmwizard.words import Place, Words, say, say_many

__all__ = ["Outcome", "Project", "Remedy", "Tools", "Verdict", "advise", "tools_of"]

Outcome = Literal["builds", "with-remedies", "other-toolchain"]

TOOL_NAMES = {"default_pie": "gcc", "cf_protection": "gcc", "openssl": "OpenSSL"}
"""What people call them, where the table's name would not do."""

PYTHON3_SINCE, PYTHON3_FOUND = "2.12", "4.1"
"""The first QEMU whose scripts run under Python 3, and the first that finds it (its configure)."""


@dataclass(frozen=True)
class Remedy:
    """A change that lets this version build here, applied only when the person agrees to it."""

    id: str
    title: Words
    why: Words
    source: str
    """Where it is known from."""
    make_variables: Mapping[str, str]
    """On every make of the kernel."""
    patches: tuple[str, ...]
    """Below assets, applied after unpacking, in this order."""
    shims: tuple[str, ...]
    """Below assets: folders of headers put before the system's."""
    symbols: Mapping[str, str]
    """Kernel configuration, without CONFIG_."""
    python2: bool
    """QEMU is configured with a Python 2.7 that is unpacked into the build folder."""


@dataclass(frozen=True)
class Verdict:
    """What is to be expected of building one version with these tools."""

    outcome: Outcome
    words: Words
    """The whole of it in a sentence."""
    reasons: tuple[Words, ...] = ()
    """What speaks against a plain build, one sentence a rule."""
    remedies: tuple[Remedy, ...] = ()
    """Each to be agreed to, where the outcome is `with-remedies`."""
    ways: tuple[Words, ...] = ()
    """How another toolchain can be had, nearest first, where the outcome is `other-toolchain`."""
    certain: bool = True
    """False where a tool that matters is not known; `words` then says so."""
    python: str | None = None
    """What QEMU's configure needs as --python, where it does not find one by itself that the machine has."""


def advise(project: Project, version: str, tools: Tools) -> Verdict:
    """What is to be expected of building this version with these tools.

    Raises:
        ValueError: where the version does not begin with a number.
    """
    matched, unknown = _rules(project, version, tools)
    places: dict[str, Place] = {
        "version": version,
        **{name: value for name, value in tools.versions.items() if value is not None},
    }
    reasons = tuple(_sentence(rule.words, places) for rule in matched)
    if any(rule.other_toolchain for rule in matched):
        return Verdict(
            outcome="other-toolchain",
            words=say(
                "{project} {version} needs another toolchain than this.",
                project=PROJECT_NAMES[project],
                version=version,
            ),
            reasons=reasons,
            ways=ways(project, version, tools, lambda other: _outcome(project, version, other)),
        )
    ids = dict.fromkeys(remedy for rule in matched for remedy in rule.remedies)
    return Verdict(
        outcome="with-remedies" if ids else "builds",
        words=_expected(project, version, len(ids), unknown),
        reasons=reasons,
        remedies=tuple(_remedy(remedy_entry(remedy)) for remedy in ids),
        certain=not unknown,
        python=_python(project, version, tools),
    )


def _rules(project: Project, version: str, tools: Tools) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules that speak against a plain build, and the unknown tools on which others depend."""
    matched, unknown = [], dict[str, None]()
    for rule in compatibility().rule:
        advises = bool(rule.remedies) or rule.other_toolchain
        here = not rule.architectures or tools.architecture in rule.architectures
        if not advises or not here or not rule.is_for(project, version):
            continue
        answers = {name: _fulfilled(name, condition, tools) for name, condition in rule.tools.items()}
        if all(answers.values()):
            matched.append(rule)
        elif False not in answers.values():
            unknown |= {name: None for name, answer in answers.items() if answer is None}
    return matched, tuple(unknown)


def _fulfilled(name: str, condition: str, tools: Tools) -> bool | None:
    """Whether the tool is as the condition says; None where it is unknown."""
    if name in UNNUMBERED and name != tools.family:
        return False
    return holds(condition, tools.versions[name]) if name in tools.versions else None


def _outcome(project: Project, version: str, tools: Tools) -> Outcome:
    matched, _ = _rules(project, version, tools)
    if any(rule.other_toolchain for rule in matched):
        return "other-toolchain"
    return "with-remedies" if matched else "builds"


def _expected(project: Project, version: str, changes: int, unknown: tuple[str, ...]) -> Words:
    name = PROJECT_NAMES[project]
    if unknown:
        return say(
            "Whether {project} {version} builds here cannot be foretold: the versions of these are not known "
            "yet: {tools}.",
            project=name,
            version=version,
            tools=", ".join(TOOL_NAMES.get(tool, tool) for tool in unknown),
        )
    if changes:
        return say_many(
            "{project} {version} builds here with one change, which you have to agree to.",
            "{project} {version} builds here with {count} changes, each of which you have to agree to.",
            changes,
            project=name,
            version=version,
        )
    return say("Nothing is known against building {project} {version} here.", project=name, version=version)


def _python(project: Project, version: str, tools: Tools) -> str | None:
    """What QEMU's configure has to be told, which until 4.0 looks for `python` and no other name."""
    if project == "linux" or in_range(version, PYTHON3_FOUND, None):
        return None
    return tools.python2 if in_range(version, None, PYTHON3_SINCE) else tools.python3


def _sentence(template: str, places: Mapping[str, Place]) -> Words:
    return Words(template=template, places=dict(places))


def _remedy(entry: RemedyEntry) -> Remedy:
    return Remedy(
        id=entry.id,
        title=Words(template=entry.title),
        why=Words(template=entry.why),
        source=entry.source,
        make_variables=entry.make_variables,
        patches=entry.patches,
        shims=entry.shims,
        symbols=entry.symbols,
        python2=entry.python2,
    )
