"""The tools a build would use here: those installed, and those the distribution would install."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvmwizard.catalog.conditions import Known
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import Unknown

NAMES_ON_HOST = {"make": "make", "binutils": "ld", "python3": "python3", "meson": "meson", "ninja": "ninja"}
"""What the tables call a tool, and what `facts.toolchain` does."""


@dataclass(frozen=True)
class Tools:
    """What is known of the tools of one machine, for one choice of compiler."""

    compiler: str
    """As chosen: `gcc`, `gcc-11`, `clang`."""
    architecture: str
    """As `uname -m`."""
    versions: Mapping[str, Known] = field(default_factory=dict)
    """By the names that assets/compatibility.toml uses; a tool that is left out is unknown."""
    foreseen: frozenset[str] = frozenset()
    """Those that are not installed yet, and are as the distribution's packages are."""
    python2: str | None = None
    """The path of a Python 2.7 of the machine's own."""


def tools_of(facts: Facts, compiler: str = "gcc") -> Tools:
    """The tools of this machine, with this compiler."""
    versions: dict[str, Known] = {}
    for name, program in NAMES_ON_HOST.items():
        tool = facts.toolchain.tools.get(program)
        if tool is not None and tool.version is not None and not isinstance(tool.version, Unknown):
            versions[name] = tool.version
    tool = facts.toolchain.tools.get(compiler)
    if tool is not None and tool.version is not None and not isinstance(tool.version, Unknown):
        versions[compiler.partition("-")[0]] = tool.version
    return Tools(compiler=compiler, architecture=facts.processor.architecture, versions=versions)
