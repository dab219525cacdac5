"""The tools a build would use here: those installed, and those the distribution would install. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kvmwizard.catalog.conditions import Known
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import Reading, Unknown, known
from kvmwizard.host.toolchain import ToolchainFacts
from kvmwizard.packages.distributions import Release, release_of, releases
from kvmwizard.packages.ranges import numbers

PROGRAMS = {
    "gcc": "gcc",
    "binutils": "ld",
    "make": "make",
    "python3": "python3",
    "perl": "perl",
    "meson": "meson",
    "ninja": "ninja",
}
"""What the tables call a tool, and what `facts.toolchain` does."""

LIBRARIES = ("glibc", "glib", "openssl")

OF_GCC = ("default_pie", "cf_protection")
"""How the distribution builds its compilers called gcc."""

UNNUMBERED = ("gcc", "clang")
NEVER_FORESEEN = ("python2",)
"""What no build installs where the table does not say so: absent is absent."""
PYTHON2 = "/usr/bin/python2.7"
PYTHON3 = "/usr/bin/python3"
"""Where packages put them."""


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
    compilers: tuple[str, ...] = ()
    """All that may be chosen: those installed, and those the distribution has packages of."""
    installed_compilers: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    """Which of podman, docker and debootstrap are there."""
    python2: str | None = None
    """The path of a Python 2.7 of the machine's own."""
    python3: str = PYTHON3
    """The path of the Python 3 on the fixed search path, or where it will be."""

    @property
    def family(self) -> str:
        """`gcc` or `clang`."""
        return compiler_family(self.compiler)


def compiler_family(compiler: str) -> str:
    """`gcc` for `gcc-11`."""
    return compiler.partition("-")[0]


def tools_of(facts: Facts, compiler: str = "gcc") -> Tools:
    """The tools of this machine, with this compiler."""
    toolchain, release = facts.toolchain, release_of(facts.distribution)
    here = _installed(toolchain)
    foreseen = {} if release is None else {name: release.tools[name] for name in release.tools}
    # What is absent will be installed; what could not be read is as the distribution has it.
    later = {name for name in foreseen if here.get(name) is None}
    versions: dict[str, Known] = {
        name: value for name, value in here.items() if value is not None or name in NEVER_FORESEEN
    }
    versions |= {name: foreseen[name] for name in later}
    versions["python2_packages"] = _yes(_has_python2_packages(facts))
    return with_compiler(
        Tools(
            compiler="gcc",
            architecture=facts.processor.architecture,
            versions=versions,
            foreseen=frozenset(later),
            compilers=_choices(toolchain, release),
            installed_compilers=toolchain.compilers,
            containers=toolchain.containers,
            python2=_path(facts, "python2") or (PYTHON2 if "python2" in later else None),
            python3=_path(facts, "python3") or PYTHON3,
        ),
        compiler,
    )


def with_compiler(tools: Tools, compiler: str) -> Tools:
    """The same machine with another compiler than `gcc`."""
    if compiler == "gcc":
        return tools
    family, _, series = compiler.partition("-")
    versions = {name: value for name, value in tools.versions.items() if name not in UNNUMBERED}
    usual = tools.versions.get("gcc")
    if series and family == "gcc" and usual and numbers(usual)[:1] == numbers(series):
        versions[family] = usual
    elif series:
        # The first release of a series is X.1, since GCC 5 and, with -stable, Clang.
        versions[family] = series if "." in series else f"{series}.1"
    if family != "gcc":
        versions = {name: value for name, value in versions.items() if name not in OF_GCC}
    foreseen = tools.foreseen if compiler in tools.installed_compilers else tools.foreseen | {family}
    return replace(tools, compiler=compiler, versions=versions, foreseen=foreseen)


def tools_of_release(release: Release, architecture: str) -> Tools:
    """The tools of a machine that runs this release and has its build packages."""
    versions: dict[str, Known] = {**release.tools, "python2_packages": "no"}
    versions.setdefault("python2", None)
    return Tools(compiler="gcc", architecture=architecture, versions=versions)


def _installed(toolchain: ToolchainFacts) -> dict[str, Known]:
    """What is here, None for what is not; what could not be read is left out."""
    found: dict[str, Known] = {}
    for name, program in {**PROGRAMS, "python2": "python2"}.items():
        tool = toolchain.tools.get(program)
        if tool is None or tool.path is None:
            found[name] = None
        elif isinstance(tool.version, str):
            found[name] = tool.version
        elif name == "python2":
            found[name] = "2.7"
    for name in LIBRARIES:
        value: Reading[str] | None = getattr(toolchain, name)
        if not isinstance(value, Unknown):
            found[name] = value
    if isinstance(toolchain.default_pie, bool):
        found["default_pie"] = _yes(toolchain.default_pie)
    if toolchain.openssl is not None:
        found["openssl_engine"] = _yes(toolchain.openssl_engine)
    return found


def _path(facts: Facts, program: str) -> str | None:
    tool = facts.toolchain.tools.get(program)
    return None if tool is None else tool.path


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _choices(toolchain: ToolchainFacts, release: Release | None) -> tuple[str, ...]:
    packages = () if release is None else release.compilers
    return tuple(dict.fromkeys(("gcc", *toolchain.compilers, *packages)))


def _has_python2_packages(facts: Facts) -> bool:
    """Whether an older release of the same distribution has packages of Python 2.7."""
    own = known(facts.distribution.id, "")
    return any(own in release.ids and release.suite and "python2" in release.tools for release in releases())
