"""What the distribution offers: its newest kernel package and its QEMU.

Asks the package manager, which takes a second or two; nothing is changed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from kvmwizard.host.facts import Facts
from kvmwizard.host.host import Host
from kvmwizard.host.reading import CommandOutput, known
from kvmwizard.packages.apt import Apt
from kvmwizard.packages.distributions import Family, KernelFlavour, family_of
from kvmwizard.packages.managers import package_manager
from kvmwizard.packages.protocol import PackageManager
from kvmwizard.packages.versions import compare_debian

QUERY_SECONDS = 10.0
UPSTREAM = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")
# Debian names the package of one kernel after its release; the others depend on that one.
RELEASE_PACKAGE = re.compile(
    r"^(?:Package|Depends|Pre-Depends):(?:.*[ ,])?linux-image-(\d[^\s,(]*\.[^\s,(]*)", re.MULTILINE
)


@dataclass(frozen=True)
class PackageOffer:
    """A package that can be installed."""

    package: str
    version: str
    """The version that would be installed."""
    installed: str | None
    """The version that is installed; None where none is."""


@dataclass(frozen=True)
class KernelOffer(PackageOffer):
    """A kernel package."""

    newer_than_running: bool
    """Its upstream version is above the running kernel's, compared as numbers."""
    release: str | None
    """What `uname -r` will say when it runs; None where the package manager does not tell."""


def kernel_offer(facts: Facts) -> KernelOffer | None:
    """The distribution's newest kernel package of the running kernel's flavour.

    None on a recorded machine, where the package manager is not one that we know,
    or where it names no such package (there may be no package lists yet).
    """
    asked = _manager_and_family(facts)
    if asked is None:
        return None
    manager, family = asked
    release = known(facts.kernel.release, "")
    names = _kernel_names(manager, family, facts, release)
    newest = _newest(manager, _candidates(manager, names))
    if newest is None:
        return None
    package, version = newest
    return KernelOffer(
        package=package,
        version=version,
        installed=_installed(manager).get(package),
        newer_than_running=_upstream_above(version, release),
        release=release_of(_ask(manager.candidate_query((package,)))),
    )


def qemu_offer(facts: Facts) -> PackageOffer | None:
    """The distribution's QEMU package for guests like the host; None as for `kernel_offer`."""
    asked = _manager_and_family(facts)
    if asked is None:
        return None
    manager, family = asked
    names = family.package_names("qemu", facts.processor.architecture)
    versions = _candidates(manager, names)
    for name in names:
        if name in versions:
            return PackageOffer(name, versions[name], _installed(manager).get(name))
    return None


def flavour_of(
    family: Family, distribution_ids: Sequence[str], release: str, architecture: str
) -> KernelFlavour:
    """The kind of kernel package that the running kernel belongs to, else the family's usual one."""
    named = family.kernel.architectures.get(architecture, architecture)
    own = [
        flavour for flavour in family.kernel.flavours if not flavour.ids or _any_of(flavour, distribution_ids)
    ]
    flavours = own or list(family.kernel.flavours)
    for flavour in flavours:
        if release.endswith(flavour.release.format(architecture=named)):
            return flavour
    return flavours[-1]


def release_of(record: str) -> str | None:
    """The kernel release that a Debian package record brings, by what it depends on or is named."""
    releases = [found for found in RELEASE_PACKAGE.findall(record) if found.count(".") > 1]
    return releases[-1] if releases else None


def _any_of(flavour: KernelFlavour, distribution_ids: Iterable[str]) -> bool:
    return any(name in flavour.ids for name in distribution_ids)


def _manager_and_family(facts: Facts) -> tuple[PackageManager, Family] | None:
    manager, family = package_manager(facts.distribution), family_of(facts.distribution)
    if not facts.live or manager is None or family is None:
        return None
    return manager, family


def _kernel_names(manager: PackageManager, family: Family, facts: Facts, release: str) -> tuple[str, ...]:
    """By search where the flavour has a pattern (its packages are named by version), else by name."""
    architecture = facts.processor.architecture
    ids = (known(facts.distribution.id, ""),)
    flavour = flavour_of(family, ids, release, architecture)
    if flavour.search is None or not isinstance(manager, Apt):
        return flavour.packages
    named = family.kernel.architectures.get(architecture, architecture)
    pattern = flavour.search.replace("{architecture}", re.escape(named))
    output = _ask(manager.search(pattern))
    return tuple(line.partition(" ")[0] for line in output.splitlines() if " - " in line)


def _candidates(manager: PackageManager, names: Sequence[str]) -> dict[str, str]:
    return manager.parse_candidates(_ask(manager.candidate_query(names))) if names else {}


def _installed(manager: PackageManager) -> dict[str, str]:
    return manager.parse_installed(_ask(manager.installed_query()))


def _newest(manager: PackageManager, versions: dict[str, str]) -> tuple[str, str] | None:
    by_version = cmp_to_key(manager.compare_versions)
    return max(versions.items(), key=lambda item: by_version(item[1]), default=None)


def _upstream_above(version: str, release: str) -> bool:
    offered, running = UPSTREAM.match(version), UPSTREAM.match(release)
    if offered is None or running is None:
        return False
    return compare_debian(offered[1], running[1]) > 0


def _ask(argv: Sequence[str]) -> str:
    """What the package manager answers; nothing where it is absent, fails or takes too long."""
    answer = Host().run(argv, seconds=QUERY_SECONDS)
    return answer.output if isinstance(answer, CommandOutput) else ""
