"""The families of distributions and what they call their packages (assets/distributions.toml)."""

import tomllib
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kvmwizard.host.distribution import DistributionFacts
from kvmwizard.host.qemu import emulator_architecture
from kvmwizard.host.reading import known
from kvmwizard.packages.ranges import in_range
from kvmwizard.resources import asset_path


class TableModel(BaseModel):
    """The base of the data file's tables: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KernelFlavour(TableModel):
    """One kind of kernel package; see the data file for the meaning of each key."""

    ids: tuple[str, ...] = ()
    release: str
    search: str | None = None
    packages: tuple[str, ...] = ()


class KernelPackages(TableModel):
    """How a family names its kernel packages."""

    architectures: dict[str, str] = {}
    flavours: tuple[KernelFlavour, ...]


class BuildPackages(TableModel):
    """Packages that a range of versions is built with; see the data file."""

    first: Annotated[str | None, Field(alias="from")] = None
    end: Annotated[str | None, Field(alias="to")] = None
    releases: tuple[str, ...] = ()
    packages: tuple[str, ...]

    def are_for(self, version: str, release: str) -> bool:
        """Whether this version needs them on this release of a distribution. Raises ValueError."""
        return in_range(version, self.first, self.end) and (not self.releases or release in self.releases)


class FamilyBuild(TableModel):
    """What a family calls the packages that builds need; see the data file."""

    steps: tuple[str, ...]
    compiler: str | None = None
    ccache: str
    debug_info: tuple[str, ...]
    linux: tuple[BuildPackages, ...]
    qemu: tuple[BuildPackages, ...]


class Family(TableModel):
    """One family of distributions."""

    ids: tuple[str, ...]
    manager: str
    emulator: str
    group_id: int | None = None
    packages: dict[str, tuple[str, ...] | dict[str, tuple[str, ...]]]
    kernel: KernelPackages
    build: FamilyBuild

    def package_names(self, choice: str, architecture: str) -> tuple[str, ...]:
        """The packages of `qemu` or of an extra; empty where the family has none for the architecture."""
        names = self.packages[choice]
        return names.get(architecture, names["other"]) if isinstance(names, dict) else names

    def build_packages(  # noqa: PLR0913  -- each is a choice of its own
        self,
        project: Literal["linux", "qemu"],
        version: str,
        compiler: str = "gcc",
        *,
        ccache: bool = False,
        debug_info: bool = False,
        release: str = "",
    ) -> tuple[str, ...]:
        """The packages that this version is built with, and that our own steps use; each once.

        Args:
            project: what is built.
            version: as `6.12.104`.
            compiler: as `gcc-11`; its package is named beside that of gcc.
            ccache: whether compilations are cached.
            debug_info: whether the kernel keeps debugging information, and with it BTF.
            release: as `ubuntu 22.04`, see `release_name`; some releases need more.

        Raises:
            ValueError: where the version does not begin with a number.
        """
        build = self.build
        groups = build.linux if project == "linux" else build.qemu
        names = [*build.steps]
        for group in groups:
            names += group.packages if group.are_for(version, release) else ()
        if build.compiler is not None and compiler != "gcc":
            names.append(build.compiler.format(compiler=compiler))
        names += (build.ccache,) if ccache else ()
        names += build.debug_info if debug_info and project == "linux" else ()
        return tuple(dict.fromkeys(names))

    def emulator_path(self, architecture: str) -> str:
        """Where the QEMU package puts the emulator for guests like the host."""
        return self.emulator.format(architecture=emulator_architecture(architecture))


class Release(TableModel):
    """One release of a distribution, and the tools it builds with; see the data file."""

    ids: tuple[str, ...]
    version: str
    name: str
    suite: str | None = None
    image: str | None = None
    compilers: tuple[str, ...] = ()
    tools: dict[str, str]
    source: str


class Expected(TableModel):
    """What a step takes."""

    seconds: float
    bytes: int


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(asset_path("distributions.toml").read_text(encoding="utf-8"))


@cache
def families() -> dict[str, Family]:
    """Every family of the data file, by its name there."""
    others = ("expected", "release")
    return {name: Family.model_validate(table) for name, table in _tables().items() if name not in others}


@cache
def releases() -> tuple[Release, ...]:
    """Every release of the data file, in its order."""
    return tuple(Release.model_validate(table) for table in _tables()["release"])


def release_of(distribution: DistributionFacts) -> Release | None:
    """The release that the machine runs; None for one that the data file does not know."""
    for release in releases():
        if known(distribution.id, "") in release.ids and release.version in _versions(distribution):
            return release
    return None


def release_name(distribution: DistributionFacts) -> str:
    """The release as the data file's lists name it: `ubuntu 22.04`; with what is known of it."""
    return f"{known(distribution.id, '')} {known(distribution.version, '')}".strip()


def _versions(distribution: DistributionFacts) -> tuple[str, ...]:
    """The whole VERSION_ID, and the part before its dot, since `9` stands for every RHEL 9.N."""
    version = known(distribution.version, "")
    return (version, version.partition(".")[0])


@cache
def expected(step: str) -> Expected:
    """What the step takes. Raises KeyError where the data file does not say."""
    return Expected.model_validate(_tables()["expected"][step])


def family_of(distribution: DistributionFacts) -> Family | None:
    """The family the distribution says it is or is like, else the first that has its package manager."""
    for name in (known(distribution.id, ""), *distribution.like):
        for family in families().values():
            if name in family.ids:
                return family
    return next(
        (family for family in families().values() if family.manager == distribution.package_manager), None
    )
