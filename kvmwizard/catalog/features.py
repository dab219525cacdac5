"""What a KVM host's kernel can do for guests, and the Kconfig symbols that each of it takes.

The symbols, by version and processor, are data: assets/kvm-host.toml.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from kvmwizard.catalog.version import Version, parse_version
from kvmwizard.host.facts import Facts
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.reading import known
from kvmwizard.resources import asset_path
from kvmwizard.words import Words, say

REQUIRED_SYMBOLS = ("KVM", "KVM_BOOK3S_64")
"""Without the one of them that was asked for, a kernel is no KVM host's."""
DRIVER_SYMBOLS = ("KVM_INTEL", "KVM_AMD", "KVM_BOOK3S_64_HV")
"""At least one of those that were asked for must be there."""
BOOT_TEST_ARCHITECTURES = ("x86_64",)
"""Where a built kernel can be booted as a guest before it is installed: our initramfs is for these."""
CHOSEN_DEBUG_INFO = "5.18"
"""From here on debugging symbols are one choice of several (lib/Kconfig.debug, `Debug information`)."""

INTEL_VENDORS = ("GenuineIntel", "CentaurHauls", "Shanghai")
"""Who makes processors with VT-x (arch/x86/kvm/vmx and arch/x86/kernel/cpu/zhaoxin.c)."""
AMD_VENDORS = ("AuthenticAMD", "HygonGenuine")

WORDS: dict[str, tuple[Words, Words]] = {
    "kvm": (
        say("KVM"),
        say("Runs guests on the processor itself. Without it this kernel is no KVM host."),
    ),
    "vhost-net": (
        say("Network in the kernel (vhost-net)"),
        say("Moves guests' network packets inside the kernel, which is faster than through QEMU."),
    ),
    "vhost-vsock": (
        say("Sockets between host and guest (vhost-vsock)"),
        say("Lets programs here talk to programs in a guest without any network."),
    ),
    "tun": (
        say("Network devices for guests (tun, tap)"),
        say("Gives a guest a network device here, which can then be bridged or routed."),
    ),
    "bridge": (
        say("Bridge and VLANs"),
        say("Connects guests' network devices to each other and to the machine's own network."),
    ),
    "macvtap": (
        say("Guests on a network card of the host (macvtap)"),
        say("Puts a guest on the network by way of one of the machine's cards, without a bridge."),
    ),
    "iommu": (
        say("IOMMU"),
        say("Keeps a device that was handed to a guest to that guest's memory, and remaps its interrupts."),
    ),
    "vfio": (
        say("Handing devices to guests (VFIO)"),
        say("Gives a guest a PCI device of its own: a network card, a disk controller, a graphics card."),
    ),
    "huge-pages": (
        say("Huge pages"),
        say("Backs guests' memory with pages of 2 MB or 1 GB, which makes memory access faster."),
    ),
    "same-page-merging": (
        say("Merging of equal pages (KSM)"),
        say("Can keep one copy of what several guests hold alike, so that more guests fit; off until used."),
    ),
    "cgroups": (
        say("Control groups"),
        say("Limits what a guest may use of processors, memory, disks and devices; libvirt needs them."),
    ),
    "kept-configuration": (
        say("Configuration kept in the kernel"),
        say("Shows the running kernel's configuration in /proc/config.gz, for checks and the next build."),
    ),
    "boot-test": (
        say("What the boot test needs"),
        say(
            "The built kernel is booted as a guest before it is installed. For that it needs a console on "
            "the serial port, an initramfs, and to run ELF programs."
        ),
    ),
}
"""What each feature is called and why one would want it, by its id in the data file."""


@dataclass(frozen=True)
class Feature:
    """Something a KVM host's kernel can do."""

    id: str
    title: Words
    why: Words
    symbols: dict[str, str]
    """Without CONFIG_, of this version and this machine, with the value wanted: y or m."""
    proposed: bool
    needs: tuple[str, ...] = ()
    """Ids of features without which this one cannot be."""


def features(version: str, facts: Facts) -> tuple[Feature, ...]:
    """The features of this version on this machine, in the order in which they are shown.

    Args:
        version: of Linux, as `6.12.104`.
        facts: its architecture and processor choose the symbols.
    """
    shown = (_feature(feature_id, table, version, facts) for feature_id, table in _tables().items())
    return tuple(feature for feature in shown if feature.symbols)


def chosen_features(version: str, facts: Facts, ids: Iterable[str] | None) -> tuple[Feature, ...]:
    """The features of these ids, and those that they need; None: the proposed ones."""
    offered = {feature.id: feature for feature in features(version, facts)}
    wanted = [
        each for each, feature in offered.items() if (feature.proposed if ids is None else each in {*ids})
    ]
    needed = {need for each in wanted for need in offered[each].needs}
    return tuple(feature for feature in offered.values() if feature.id in {*wanted, *needed})


def symbols_of(chosen: Iterable[Feature]) -> dict[str, str]:
    """The symbols of all these features together; y goes before m."""
    together: dict[str, str] = {}
    for feature in chosen:
        for name, value in feature.symbols.items():
            if together.get(name) != "y":
                together[name] = value
    return together


def debug_info_symbols(version: str, wanted: bool) -> dict[str, str]:
    """The symbols that switch debugging symbols on or off.

    On is what the compiler makes by default, without BTF, whose maker (pahole)
    needs more memory than all the rest (Documentation/process/changes.rst has
    its least version).
    """
    if not wanted:
        off = {"DEBUG_INFO_BTF": "n"}
        if _at_least(version, CHOSEN_DEBUG_INFO):
            kinds = ("DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT", "DEBUG_INFO_DWARF4", "DEBUG_INFO_DWARF5")
            return {**off, **dict.fromkeys(kinds, "n"), "DEBUG_INFO_NONE": "y"}
        return {**off, "DEBUG_INFO": "n"}
    on = {"DEBUG_KERNEL": "y", "DEBUG_INFO_BTF": "n"}
    if _at_least(version, CHOSEN_DEBUG_INFO):
        return {**on, "DEBUG_INFO_NONE": "n", "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT": "y"}
    return {**on, "DEBUG_INFO": "y"}


def _feature(feature_id: str, table: dict[str, Any], version: str, facts: Facts) -> Feature:
    title, why = WORDS[feature_id]
    return Feature(
        id=feature_id,
        title=title,
        why=why,
        symbols={each["name"]: each["value"] for each in table["symbols"] if _applies(each, version, facts)},
        proposed=table["proposed"],
        needs=tuple(table.get("needs", ())),
    )


def _applies(symbol: dict[str, Any], version: str, facts: Facts) -> bool:
    architectures = symbol.get("architectures")
    processor = symbol.get("processor")
    return (
        (architectures is None or facts.processor.architecture in architectures)
        and (processor is None or processor in _makers(facts))
        and ("from" not in symbol or _at_least(version, symbol["from"]))
        and ("before" not in symbol or not _at_least(version, symbol["before"]))
    )


def _makers(facts: Facts) -> tuple[str, ...]:
    """Whose virtualization the processor has; both where nobody can say."""
    extension = facts.processor.extension
    if extension is VirtualizationExtension.VMX:
        return ("intel",)
    if extension is VirtualizationExtension.SVM:
        return ("amd",)
    vendor = known(facts.processor.vendor, "")
    if vendor in INTEL_VENDORS:
        return ("intel",)
    return ("amd",) if vendor in AMD_VENDORS else ("intel", "amd")


def _at_least(version: str, bound: str) -> bool:
    """Whether a version, or what leads up to it, is of the bound's series or a later one."""
    return _numbers(version) >= _numbers(bound)


def _numbers(version: str) -> Version:
    """The version without its candidate's number. Raises ValueError for what is no version."""
    numbers = parse_version(version.partition("-")[0])
    if numbers is None:
        raise ValueError(version)
    return numbers


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(asset_path("kvm-host.toml").read_text(encoding="utf-8"))
