"""Where the system runs: on bare metal, in a guest, in a container."""

import re

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import not_shown
from kvmwizard.host.processor import ProcessorFacts, is_x86
from kvmwizard.host.reading import FactModel, Reading, Unknown

UNNAMED = "unnamed"
QEMU = "qemu"
"""An emulator of which nothing says whether it uses KVM."""
LOG_NAMES = {
    "KVM": "kvm",
    "Microsoft Hyper-V": "hyperv",
    "VMware": "vmware",
    "Xen HVM": "xen",
    "Xen PV": "xen",
    "Jailhouse": "jailhouse",
    "ACRN": "acrn",
    "Bhyve": "bhyve",
}
"""What the kernel logs after "Hypervisor detected:" (arch/x86/kernel/cpu/hypervisor.c)."""
ACPI_MAKERS = {"FIRECK": "firecracker", "CLOUDH": "cloud-hypervisor"}
"""OEM ids of ACPI tables, which name monitors that give no DMI (ACPI 6.5, 5.2.5.3)."""
DMI_DIRECTORY = "/sys/class/dmi/id"
DMI_FILES = ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version")
DMI_NAMES = (
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "virtualbox"),
    ("VirtualBox", "virtualbox"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "hyperv"),
    ("Apple Virtualization", "apple"),
    ("Cloud Hypervisor", "cloud-hypervisor"),
    ("KubeVirt", "kvm"),
    ("OpenStack", "kvm"),
    ("QEMU", QEMU),
    ("KVM", "kvm"),
)
"""How a virtual machine's DMI strings begin (systemd-detect-virt(1), virt-what(1))."""
CLOUD_NAMES = (("Google Compute Engine", "kvm"), ("Amazon EC2", "kvm"), ("Microsoft Corporation", "hyperv"))
"""Makers whose strings stand on bare metal too, and name a hypervisor only where there is one."""
FIRST_NAMESPACES = {"pid": 0xEFFFFFFC, "uts": 0xEFFFFFFE, "ipc": 0xEFFFFFFF, "cgroup": 0xEFFFFFFB}
"""Inode numbers of the namespaces that the system started with (include/linux/proc_ns.h)."""
CGROUP_NAMES = {"docker": "docker", "lxc": "lxc", "libpod": "podman", "kubepods": "kubernetes"}
"""The groups that container managers place their processes in."""
CGROUP_CONTAINERS = re.compile(rf"/({'|'.join(CGROUP_NAMES)})[-/.]")


class EnvironmentFacts(FactModel):
    """The hypervisor above and the container around, if any."""

    hypervisor: Reading[str | None]
    """kvm, pvm, vmware, hyperv, xen, virtualbox, firecracker, unnamed …; None on bare metal."""
    container: Reading[str | None]
    """docker, podman, lxc, systemd-nspawn, wsl …; None outside of one."""
    boot_id: Reading[str]
    """/proc/sys/kernel/random/boot_id."""


def read_environment(
    host: Host, processor: ProcessorFacts, log: Reading[tuple[str, ...]]
) -> EnvironmentFacts:
    """Where the system runs; `log` is what `read_kernel_log` gave."""
    return EnvironmentFacts(
        hypervisor=_hypervisor(host, processor, log),
        container=_container(host),
        boot_id=host.read_word("/proc/sys/kernel/random/boot_id"),
    )


def _hypervisor(host: Host, processor: ProcessorFacts, log: Reading[tuple[str, ...]]) -> Reading[str | None]:
    xen = _xen(host)
    if xen is not None:
        return None if xen == "host" else xen
    if is_x86(processor.architecture):
        return _hypervisor_of_x86(host, processor.flags, log)
    if processor.architecture == "s390x":
        return _hypervisor_of_s390(host)
    return _hypervisor_of_others(host, log)


def _xen(host: Host) -> str | None:
    """`host` in Xen's control domain, `xen` in a guest of it (ABI/stable/sysfs-hypervisor-xen)."""
    if host.read_word("/sys/hypervisor/type") != "xen":
        return None
    capabilities = host.read_word("/proc/xen/capabilities")
    return "host" if isinstance(capabilities, str) and "control_d" in capabilities else "xen"


def _hypervisor_of_x86(
    host: Host, flags: Reading[tuple[str, ...]], log: Reading[tuple[str, ...]]
) -> Reading[str | None]:
    """By CPUID.1:ECX[31], the flag `hypervisor`; who it is, by ACPI, DMI and the log."""
    named = _acpi_name(host, log) or _dmi_name(host, DMI_NAMES)
    if isinstance(flags, Unknown):
        return named or flags
    if "hypervisor" not in flags or named not in (None, QEMU):
        return named
    return _dmi_name(host, CLOUD_NAMES) or _log_name(log) or named or UNNAMED


def _hypervisor_of_others(host: Host, log: Reading[tuple[str, ...]]) -> Reading[str | None]:
    """By the log, DMI and the device tree; no sign is knowledge only where one would show."""
    named = _log_name(log) or _dmi_name(host, DMI_NAMES) or _device_tree_name(host)
    if named:
        return named
    if _dmi_name(host, CLOUD_NAMES):
        return not_shown("this maker's DMI is the same on bare metal and in a guest")
    if host.exists("/proc/device-tree/compatible") is True or host.exists(DMI_DIRECTORY) is True:
        return None
    return not_shown("no DMI and no device tree")


def _log_name(log: Reading[tuple[str, ...]]) -> str | None:
    for line in () if isinstance(log, Unknown) else log:
        if "KVM: hypervisor services detected" in line:  # ARM (drivers/firmware/smccc/kvm_guest.c)
            return "kvm"
        _, found, name = line.partition("Hypervisor detected: ")
        if found:
            return LOG_NAMES.get(name.strip())
    return None


def _acpi_name(host: Host, log: Reading[tuple[str, ...]]) -> str | None:
    table = host.read_bytes("/sys/firmware/acpi/tables/FACP")
    makers = [table[10:16].decode(errors="replace")] if isinstance(table, bytes) else []
    makers += [line for line in (() if isinstance(log, Unknown) else log) if line.startswith("ACPI: RSDP ")]
    return next((name for maker in makers for sign, name in ACPI_MAKERS.items() if sign in maker), None)


def _dmi_name(host: Host, names: tuple[tuple[str, str], ...]) -> str | None:
    said = [host.read_word(f"{DMI_DIRECTORY}/{name}") for name in DMI_FILES]
    texts = [text for text in said if isinstance(text, str)]
    return next((name for start, name in names for text in texts if text.startswith(start)), None)


def _device_tree_name(host: Host) -> str | None:
    """From the node /hypervisor and the root's `compatible` (devicetree specification, 2.3.1)."""
    node = host.read_word("/proc/device-tree/hypervisor/compatible")
    if isinstance(node, str):
        return {"linux,kvm": "kvm", "xen,xen": "xen"}.get(node.partition("\0")[0], UNNAMED)
    root = host.read_word("/proc/device-tree/compatible")
    machines = root.split("\0") if isinstance(root, str) else []
    if "linux,dummy-virt" in machines or "riscv-virtio" in machines or "qemu,pseries" in machines:
        return QEMU
    partition = host.exists("/proc/device-tree/ibm,partition-name")
    return "powervm" if partition is True else None


def _hypervisor_of_s390(host: Host) -> Reading[str | None]:
    """The control program of the innermost level in /proc/sysinfo; a logical partition alone has none."""
    text = host.read_word("/proc/sysinfo")
    if isinstance(text, Unknown):
        return text
    found = re.search(r"^VM00 Control Program: *(.+)$", text, re.MULTILINE)
    if found is None:
        return None
    return "kvm" if "KVM" in found[1] else "zvm" if "z/VM" in found[1] else UNNAMED


def _container(host: Host) -> Reading[str | None]:
    release = host.read_word("/proc/sys/kernel/osrelease")
    if isinstance(release, str) and ("microsoft" in release.lower() or "WSL" in release):
        return "wsl"
    return _said_by_manager(host) or _said_by_files(host)


def _said_by_manager(host: Host) -> str | None:
    """What the container's manager told process 1 (the container interface of systemd)."""
    said = host.read_word("/run/systemd/container")
    if isinstance(said, str) and said:
        return said.split()[0]
    environment = host.read_text("/proc/1/environ")
    for entry in environment.split("\0") if isinstance(environment, str) else ():
        name, _, value = entry.partition("=")
        if name == "container" and value:
            return value
    return None


def _said_by_files(host: Host) -> Reading[str | None]:
    """What Docker and Podman leave in an image's root, believed only outside the first namespaces.

    A machine's own root may have been made of an image, and keeps those files.
    """
    first = _in_first_namespaces(host)
    if first:
        return None
    if host.exists("/run/.containerenv") is True:
        return "podman"
    if host.exists("/.dockerenv") is True:
        return "docker"
    groups = host.read_word("/proc/1/cgroup")
    found = CGROUP_CONTAINERS.search(groups) if isinstance(groups, str) else None
    if found:
        return CGROUP_NAMES[found[1]]
    return None if first is None else not_shown("it has namespaces of its own, as containers do, and no name")


def _in_first_namespaces(host: Host) -> bool | None:
    """Whether these are the namespaces that the system started with; None where nothing says it."""
    links = {name: host.read_link(f"/proc/self/ns/{name}") for name in FIRST_NAMESPACES}
    shown = {name: link for name, link in links.items() if isinstance(link, str)}
    if "pid" not in shown:
        return None
    return all(link == f"{name}:[{FIRST_NAMESPACES[name]}]" for name, link in shown.items())
