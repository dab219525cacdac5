"""Control groups, versions 1 and 2."""

from enum import StrEnum

from kvmwizard.host.reading import FactModel, Reading


class CgroupLayout(StrEnum):
    """How the hierarchies are mounted."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"
    NONE = "none"


class CgroupFacts(FactModel):
    """Which controllers guests could be placed under."""

    layout: Reading[CgroupLayout]
    controllers: Reading[tuple[str, ...]]
    """Usable controllers by their v1 names: cpu, cpuacct, cpuset, memory, devices, blkio, …

    Under v2 each is translated: `cpu` gives cpu and cpuacct, `io` gives blkio, and
    devices is BPF, there on every v2 kernel since 4.15 with CONFIG_CGROUP_BPF.
    """
