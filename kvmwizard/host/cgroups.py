"""Control groups, versions 1 and 2."""

from enum import StrEnum

from kvmwizard.host.host import Host
from kvmwizard.host.kernel import KernelFacts
from kvmwizard.host.reading import FactModel, Reading, Unknown

MOUNTS = "/proc/self/mountinfo"
MOUNT_FIELDS = 10
"""The fewest fields of a line of mountinfo (proc_pid_mountinfo(5))."""
V1_CONTROLLERS = frozenset(
    {
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "misc",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
        "rdma",
    }
)
"""The controllers of version 1 (cgroups(7)), among a mount's other options."""
V1_NAMES = {"cpu": ("cpu", "cpuacct"), "io": ("blkio",)}
"""What controllers of version 2 were called in version 1 (admin-guide/cgroup-v2.rst)."""


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


def read_cgroups(host: Host, kernel: KernelFacts) -> CgroupFacts:
    """Which controllers guests could be placed under."""
    text = host.read_word(MOUNTS)
    if isinstance(text, Unknown):
        return CgroupFacts(layout=text, controllers=text)
    first, second = _mounts(text)
    if not first and not second:
        return CgroupFacts(layout=CgroupLayout.NONE, controllers=())
    controllers = {name for options in first for name in options.split(",")}
    controllers &= V1_CONTROLLERS
    for mount in second:
        unified = host.read_word(f"{mount}/cgroup.controllers")
        names = unified.split() if isinstance(unified, str) else ()
        controllers |= {old for name in names for old in V1_NAMES.get(name, (name,))}
    if not first and isinstance(kernel.options, dict) and kernel.options.get("CGROUP_BPF") == "y":
        controllers.add("devices")
    layout = CgroupLayout.HYBRID if first and second else CgroupLayout.V1 if first else CgroupLayout.V2
    return CgroupFacts(layout=layout, controllers=tuple(sorted(controllers)))


def _mounts(text: str) -> tuple[list[str], list[str]]:
    """The super options of each hierarchy of version 1, and the mount points of version 2."""
    first, second = [], []
    for line in text.split("\n"):
        fields = line.split(" ")
        if len(fields) < MOUNT_FIELDS or "-" not in fields[6:-3]:
            continue
        kind = fields[fields.index("-", 6) + 1]
        if kind == "cgroup" and "name=" not in fields[-1]:
            first.append(fields[-1])
        elif kind == "cgroup2":
            second.append(fields[4])
    return first, second
