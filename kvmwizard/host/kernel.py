"""The running kernel, its configuration, and the kernel log's words on virtualization."""

import os
import re
import zlib
from typing import Annotated

from pydantic import Field

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import natural_order, not_shown, not_understood, whole_number
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason

OPTIONS = (
    "CGROUP_BPF",
    "HIGH_RES_TIMERS",
    "HUGETLBFS",
    "INTEL_IOMMU",
    "INTEL_IOMMU_DEFAULT_ON",
    "AMD_IOMMU",
    "ARM_SMMU",
    "ARM_SMMU_V3",
    "KSM",
    "KVM",
    "KVM_AMD",
    "KVM_AMD_SEV",
    "KVM_BOOK3S_64_HV",
    "KVM_BOOK3S_64_PR",
    "KVM_GUEST",
    "KVM_INTEL",
    "KVM_PVM",
    "LOCK_DOWN_IN_EFI_SECURE_BOOT",
    "MODULES",
    "MODULE_SIG_FORCE",
    "SECURITY_LOCKDOWN_LSM",
    "TRANSPARENT_HUGEPAGE",
    "TUN",
    "VFIO",
    "VFIO_PCI",
    "VHOST_NET",
    "VHOST_VSOCK",
    "VIRTUALIZATION",
    "X86_MSR",
)
"""Kconfig symbols that matter to KVM, its guests and what stands in their way."""

RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
LOG_FILES = ("/var/log/dmesg", "/var/log/kern.log")
LOG_SUBJECTS = re.compile(
    r"\b(?:kvm|vmx|svm|dmar|amd-vi|vt-d|hypervisor|el2|hyp mode|sie)\b|kvm[-_]", re.IGNORECASE
)
COMMAND_LINE_ECHO = re.compile(r"\bcommand line: ", re.IGNORECASE)
MOST_LOG_LINES = 200
LOG_PREFIX = re.compile(r"^(?:\S.*? kernel: )?(?:\[ *[0-9]+\.[0-9]+\] )?")
"""What syslog and dmesg write before the kernel's own words."""
IMAGE_PREFIXES = ("vmlinuz-", "vmlinux-", "Image-", "image-", "kernel-")
LARGEST_CONFIGURATION = 16 * 1024 * 1024
"""Bytes of an unpacked configuration; real ones hold a few hundred thousand."""


class KernelFacts(FactModel):
    """The running kernel."""

    release: Reading[str]
    """As `uname -r`."""
    command_line: Reading[tuple[str, ...]]
    configuration_source: str | None
    """The file the options were read from; None where there was none."""
    # Unknown first: its own JSON would pass for a mapping of texts.
    options: Annotated[Unknown | dict[str, str], Field(union_mode="left_to_right")]
    """The KVM-related symbols of `kernel.OPTIONS`, without CONFIG_: y, m, n or a value."""
    log_lines: Reading[tuple[str, ...]]
    """Lines of the kernel's log that speak of KVM, VMX, SVM, DMAR or AMD-Vi."""
    taints: Reading[int]
    """/proc/sys/kernel/tainted."""
    installed_releases: Reading[tuple[str, ...]]
    """Kernels that could be booted: names under /lib/modules with an image in /boot."""


def read_kernel(host: Host, log: Reading[tuple[str, ...]]) -> KernelFacts:
    """The running kernel; `log` is what `read_kernel_log` gave."""
    release = read_release(host)
    source, options = _configuration(host, release)
    return KernelFacts(
        release=release,
        command_line=_command_line(host),
        configuration_source=source,
        options=options,
        log_lines=log if isinstance(log, Unknown) else _lines_on_virtualization(log),
        taints=whole_number(host.read_word("/proc/sys/kernel/tainted"), "/proc/sys/kernel/tainted"),
        installed_releases=_installed_releases(host),
    )


def read_release(host: Host) -> Reading[str]:
    """As `uname -r`, from /proc/sys/kernel/osrelease."""
    release = host.read_word("/proc/sys/kernel/osrelease")
    if isinstance(release, Unknown) or RELEASE.fullmatch(release):
        return release
    return not_understood(release, "/proc/sys/kernel/osrelease")


def running_release() -> str:
    """The release of the kernel that runs this process, as `uname -r`."""
    release = read_release(Host())
    return release if isinstance(release, str) else os.uname().release


def read_kernel_log(host: Host) -> Reading[tuple[str, ...]]:
    """All messages of this boot, without time and priority.

    From the kernel's own buffer; where that is refused (dmesg_restrict in
    Documentation/admin-guide/sysctl/kernel.rst), from what the system's logger
    wrote of it.
    """
    records = host.kernel_log_records()
    if not isinstance(records, Unknown):
        return records
    said = host.run(("/usr/bin/dmesg",))
    if said is not None and not isinstance(said, Unknown) and said.returncode == 0:
        return _this_boot(said.output)
    for path in LOG_FILES:
        text = host.read_text(path)
        if isinstance(text, str) and text:
            return _this_boot(text)
    return records


def _this_boot(text: str) -> tuple[str, ...]:
    lines = [LOG_PREFIX.sub("", line, count=1) for line in text.split("\n") if line]
    starts = [index for index, line in enumerate(lines) if line.startswith("Linux version ")]
    return tuple(lines[starts[-1] :] if starts else lines)


def _lines_on_virtualization(log: tuple[str, ...]) -> tuple[str, ...]:
    chosen = [line for line in log if LOG_SUBJECTS.search(line) and not COMMAND_LINE_ECHO.search(line)]
    if len(chosen) > MOST_LOG_LINES:  # the boot says most, the end is the latest try to load KVM
        chosen = chosen[: MOST_LOG_LINES // 2] + chosen[-MOST_LOG_LINES // 2 :]
    return tuple(chosen)


def _command_line(host: Host) -> Reading[tuple[str, ...]]:
    text = host.read_word("/proc/cmdline")
    return text if isinstance(text, Unknown) else tuple(text.split())


def _configuration(host: Host, release: Reading[str]) -> tuple[str | None, Reading[dict[str, str]]]:
    for path in _configuration_files(release):
        content = host.read_bytes(path)
        if isinstance(content, bytes) and content:
            text = _unpacked(content) if path.endswith(".gz") else content
            if text is None or b"\nCONFIG_" not in text:
                return path, Unknown(unknown=UnknownReason.NOT_UNDERSTOOD, detail=path)
            return path, parse_options(text.decode(errors="replace"))
    return None, not_shown("no configuration of the running kernel is kept here")


def _configuration_files(release: Reading[str]) -> tuple[str, ...]:
    running = ("/proc/config.gz",)
    if isinstance(release, Unknown):
        return running
    modules = f"/lib/modules/{release}"
    return (*running, f"/boot/config-{release}", f"{modules}/config", f"{modules}/build/.config")


def _unpacked(content: bytes) -> bytes | None:
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(content, LARGEST_CONFIGURATION)
    except zlib.error:
        return None


def parse_options(text: str) -> dict[str, str]:
    """The symbols of `OPTIONS` in a kernel configuration; one that is not set is `n`."""
    wanted = frozenset(OPTIONS)
    found = dict.fromkeys(OPTIONS, "n")
    for line in text.split("\n"):
        if not line.startswith("CONFIG_"):
            continue
        name, _, value = line[len("CONFIG_") :].partition("=")
        if name in wanted:
            found[name] = value.strip().strip('"')
    return found


def _installed_releases(host: Host) -> Reading[tuple[str, ...]]:
    releases = host.list_directory("/lib/modules")
    if isinstance(releases, Unknown):
        return releases
    images = host.list_directory("/boot")
    if isinstance(images, Unknown):
        return images
    endings = {
        image.removeprefix(prefix)
        for image in images or ()
        for prefix in IMAGE_PREFIXES
        if image.startswith(prefix)
    }
    return natural_order(release for release in releases or () if _has_image(host, release, endings))


def _has_image(host: Host, release: str, endings: set[str]) -> bool:
    """Whether an image bears the release, or its flavour (`lts` of 6.6.1-0-lts), or lies with its modules."""
    flavour = release.rpartition("-")[2]
    return release in endings or flavour in endings or host.exists(f"/lib/modules/{release}/vmlinuz") is True
