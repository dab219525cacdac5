"""Kernel modules that KVM and its guests use, and their parameters."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from kvmwizard.host.host import Host
from kvmwizard.host.kernel import KernelFacts
from kvmwizard.host.parsing import not_shown, switch
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason

MODULES: dict[str, str | None] = {
    "kvm": "KVM",
    "kvm_intel": "KVM_INTEL",
    "kvm_amd": "KVM_AMD",
    "kvm_pvm": "KVM_PVM",
    "kvm_hv": "KVM_BOOK3S_64_HV",
    "vhost_net": "VHOST_NET",
    "vhost_vsock": "VHOST_VSOCK",
    "tun": "TUN",
    "vfio": "VFIO",
    "vfio_pci": "VFIO_PCI",
    "vboxdrv": None,
    "vmmon": None,
    "vmnet": None,
}
"""The modules that matter, each with its Kconfig symbol; other makers' modules have none."""
CONFIGURATION_DIRECTORIES = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
"""In the order of precedence: a file hides those of the same name after it (modprobe.d(5))."""
REFUSING_PROGRAMS = frozenset({"/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false", "true", "false"})
"""What `install NAME PROGRAM` runs to keep a module from loading."""
BLACKLIST_PARAMETERS = ("modprobe.blacklist", "module_blacklist")
"""Of modprobe (modprobe(8)) and of the kernel (admin-guide/kernel-parameters.txt)."""
NESTED_PARAMETERS = (("kvm_intel", "nested"), ("kvm_amd", "nested"), ("kvm_hv", "nested"), ("kvm", "nested"))
"""Of Intel, AMD, POWER and s390 (virt/kvm/x86/running-nested-guests.rst has the first two and the last)."""
PAGING_PARAMETERS = (("kvm_intel", "ept"), ("kvm_amd", "npt"))
MODULE_FILE = re.compile(r"([^/]+)\.ko(?:\.(?:gz|xz|zst))?")


class ModuleState(StrEnum):
    """How a module stands."""

    LOADED = "loaded"
    BUILT_IN = "built-in"
    AVAILABLE = "available"
    """A file for the running kernel exists; not loaded."""
    ABSENT = "absent"


class ModuleFacts(FactModel):
    """One module. Names are written with underscores."""

    name: str
    state: Reading[ModuleState]
    blacklisted_by: str | None
    """The modprobe configuration file or kernel parameter that keeps it from loading by alias."""
    parameters: dict[str, str]
    """/sys/module/NAME/parameters/*, as printed."""


class ModulesFacts(FactModel):
    """The modules that matter here."""

    modules: dict[str, ModuleFacts]
    """Every name of `modules.MODULES`."""
    nested: Reading[bool]
    """kvm_intel.nested or kvm_amd.nested (Y, N, 1 or 0)."""
    ept: Reading[bool]
    """kvm_intel.ept or kvm_amd.npt."""
    enable_virt_at_load: Reading[bool]
    """kvm.enable_virt_at_load, Linux 6.12 on: KVM holds VT-x from load."""
    loadable: Reading[bool]
    """Whether this kernel takes modules at all.

    CONFIG_MODULES, /proc/sys/kernel/modules_disabled and the parameter `nomodule`.
    """


class _Sources(NamedTuple):
    """Where the state of every module is told."""

    present: tuple[str, ...] | Unknown | None
    """The names under /sys/module."""
    built_in: frozenset[str]
    files: frozenset[str]
    options: Reading[dict[str, str]]


def read_modules(host: Host, kernel: KernelFacts) -> ModulesFacts:
    """The modules that matter, for the running kernel."""
    sources = _Sources(
        present=host.list_directory("/sys/module"),
        built_in=_listed_modules(host, kernel.release, "modules.builtin"),
        files=_listed_modules(host, kernel.release, "modules.dep"),
        options=kernel.options,
    )
    blacklists = _blacklists(host, kernel.command_line)
    modules = {
        name: ModuleFacts(
            name=name,
            state=_state(host, name, sources),
            blacklisted_by=blacklists.get(name),
            parameters=_parameters(host, name),
        )
        for name in MODULES
    }
    return ModulesFacts(
        modules=modules,
        nested=_parameter(modules, NESTED_PARAMETERS),
        ept=_parameter(modules, PAGING_PARAMETERS),
        enable_virt_at_load=_parameter(modules, (("kvm", "enable_virt_at_load"),)),
        loadable=_loadable(host, kernel),
    )


def _state(host: Host, name: str, sources: _Sources) -> Reading[ModuleState]:
    if isinstance(sources.present, tuple) and name in sources.present:
        # Only a module that was loaded has a state of its own (ABI/testing/sysfs-module).
        loaded = host.exists(f"/sys/module/{name}/initstate")
        return ModuleState.LOADED if loaded is True else ModuleState.BUILT_IN
    symbol = MODULES[name]
    configured = sources.options.get(symbol) if symbol and isinstance(sources.options, dict) else None
    if configured == "y" or name in sources.built_in:
        return ModuleState.BUILT_IN
    if name in sources.files:
        return ModuleState.AVAILABLE
    if isinstance(sources.present, Unknown):
        return sources.present
    return not_shown("/sys/module") if sources.present is None else ModuleState.ABSENT


def _listed_modules(host: Host, release: Reading[str], name: str) -> frozenset[str]:
    """The modules in modules.builtin or modules.dep (modules.dep(5)), a path at the start of each line."""
    text = None if isinstance(release, Unknown) else host.read_text(f"/lib/modules/{release}/{name}")
    if not isinstance(text, str):
        return frozenset()
    paths = (line.partition(":")[0].rpartition("/")[2] for line in text.split("\n"))
    found = (MODULE_FILE.fullmatch(path) for path in paths)
    return frozenset(_underscored(match[1]) for match in found if match)


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _parameters(host: Host, name: str) -> dict[str, str]:
    directory = f"/sys/module/{name}/parameters"
    names = host.list_directory(directory)
    values = (
        {each: host.read_word(f"{directory}/{each}") for each in names} if isinstance(names, tuple) else {}
    )
    return {each: value for each, value in values.items() if isinstance(value, str)}


def _parameter(modules: dict[str, ModuleFacts], places: tuple[tuple[str, str], ...]) -> Reading[bool]:
    for module, parameter in places:
        value = modules[module].parameters.get(parameter)
        if value is not None:
            return switch(value, f"/sys/module/{module}/parameters/{parameter}")
    return not_shown(", ".join(f"{module}.{parameter}" for module, parameter in places))


def _loadable(host: Host, kernel: KernelFacts) -> Reading[bool]:
    if isinstance(kernel.options, dict) and kernel.options.get("MODULES") == "n":
        return False
    if isinstance(kernel.command_line, tuple) and "nomodule" in kernel.command_line:
        return False
    disabled = host.read_word("/proc/sys/kernel/modules_disabled")
    if isinstance(disabled, str):
        return disabled != "1"
    if disabled.unknown is not UnknownReason.NOT_SHOWN:
        return disabled
    return host.exists("/proc/modules") if host.exists("/proc/sys/kernel") is True else disabled


def _blacklists(host: Host, command_line: Reading[tuple[str, ...]]) -> dict[str, str]:
    """What keeps each module from loading: the file or the parameter."""
    found: dict[str, str] = {}
    for path, text in _configuration_files(host):
        for name in _kept_out(text):
            found.setdefault(name, path)
    for word in command_line if isinstance(command_line, tuple) else ():
        parameter, _, names = word.partition("=")
        if parameter in BLACKLIST_PARAMETERS:
            for name in names.split(","):
                found.setdefault(_underscored(name), parameter)
    return found


def _configuration_files(host: Host) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for directory in CONFIGURATION_DIRECTORIES:
        names = host.list_directory(directory)
        for name in names if isinstance(names, tuple) else ():
            if not name.endswith(".conf") or name in seen:
                continue
            seen.add(name)
            text = host.read_text(f"{directory}/{name}")
            if isinstance(text, str):
                yield f"{directory}/{name}", text


def _kept_out(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").split("\n"):
        match line.split():
            case ["blacklist", name, *_]:
                yield _underscored(name)
            case ["install", name, program, *_] if program in REFUSING_PROGRAMS:
                yield _underscored(name)
