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
from kvmwizard.catalog.sources import Project
from kvmwizard.catalog.tools import Tools, tools_of
from kvmwizard.words import Place, Words, say, say_many

__all__ = ["Outcome", "Project", "Remedy", "Tools", "Verdict", "advise", "tools_of"]

Outcome = Literal["builds", "with-remedies", "other-toolchain"]

PROJECT_NAMES = {"linux": "Linux", "qemu": "QEMU"}


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
    configure_flags: tuple[str, ...]
    """For QEMU's configure."""
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
    """What QEMU's configure needs as --python, where the machine has it and it is not the usual one."""


def advise(project: Project, version: str, tools: Tools) -> Verdict:
    """What is to be expected of building this version with these tools.

    Raises:
        ValueError: where the version does not begin with a number.
    """
    places: dict[str, Place] = {
        "version": version,
        **{name: value for name, value in tools.versions.items() if value is not None},
    }
    name = PROJECT_NAMES[project]
    matched = [rule for rule in compatibility().rule if _speaks_against(rule, project, version, tools)]
    reasons = tuple(_sentence(rule.words, places) for rule in matched)
    if any(rule.needs for rule in matched):
        words = say("{project} {version} needs another toolchain than this.", project=name, version=version)
        return Verdict(outcome="other-toolchain", words=words, reasons=reasons)
    ids = dict.fromkeys(remedy for rule in matched for remedy in rule.remedies)
    if ids:
        words = say_many(
            "{project} {version} builds here with one change, which you have to agree to.",
            "{project} {version} builds here with {count} changes, each of which you have to agree to.",
            len(ids),
            project=name,
            version=version,
        )
        remedies = tuple(_remedy(remedy_entry(remedy)) for remedy in ids)
        return Verdict(outcome="with-remedies", words=words, reasons=reasons, remedies=remedies)
    words = say("Nothing is known against building {project} {version} here.", project=name, version=version)
    return Verdict(outcome="builds", words=words)


def _speaks_against(rule: Rule, project: Project, version: str, tools: Tools) -> bool:
    return (
        bool(rule.remedies or rule.needs)
        and rule.is_for(project, version)
        and (not rule.architectures or tools.architecture in rule.architectures)
        and all(
            name in tools.versions and holds(condition, tools.versions[name])
            for name, condition in rule.tools.items()
        )
    )


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
        configure_flags=entry.configure_flags,
        shims=entry.shims,
        symbols=entry.symbols,
        python2=entry.python2,
    )
