"""The families of distributions and what they call their packages (assets/distributions.toml)."""

import tomllib
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from kvmwizard.host.distribution import DistributionFacts
from kvmwizard.host.qemu import emulator_architecture
from kvmwizard.host.reading import known
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


class Family(TableModel):
    """One family of distributions."""

    ids: tuple[str, ...]
    manager: str
    emulator: str
    group_id: int | None = None
    packages: dict[str, tuple[str, ...] | dict[str, tuple[str, ...]]]
    kernel: KernelPackages

    def package_names(self, choice: str, architecture: str) -> tuple[str, ...]:
        """The packages of `qemu` or of an extra; empty where the family has none for the architecture."""
        names = self.packages[choice]
        return names.get(architecture, names["other"]) if isinstance(names, dict) else names

    def emulator_path(self, architecture: str) -> str:
        """Where the QEMU package puts the emulator for guests like the host."""
        return self.emulator.format(architecture=emulator_architecture(architecture))


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
    return {name: Family.model_validate(table) for name, table in _tables().items() if name != "expected"}


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
