"""The processor: what it is, and what it offers to guests."""

import os
import re
from collections.abc import Iterable
from enum import StrEnum

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import assignments, not_shown
from kvmwizard.host.reading import FactModel, Reading, Unknown

CPUINFO = "/proc/cpuinfo"
FLAG_NAMES = frozenset({"flags", "vmx flags", "Features", "features", "facilities", "isa"})
"""Lines that list what a processor offers.

`flags` and `vmx flags` on x86 (arch/x86/kernel/cpu/proc.c), `Features` on ARM,
`features` and `facilities` on s390, `isa` on RISC-V.
"""
VENDOR_NAMES = ("vendor_id", "CPU implementer", "mvendorid")
MODEL_NAMES = ("model name", "cpu", "uarch", "machine")
X86 = ("x86_64", "i686", "i586", "i386")


class VirtualizationExtension(StrEnum):
    """The processor's own support for guests, as the kernel shows it."""

    VMX = "vmx"
    SVM = "svm"
    SIE = "sie"
    NONE = "none"


class ProcessorFacts(FactModel):
    """What /proc/cpuinfo says, over all processors."""

    architecture: str
    """As `uname -m` says it: x86_64, aarch64, ppc64le, s390x, riscv64."""
    vendor: Reading[str]
    """vendor_id as printed: GenuineIntel, AuthenticAMD, HygonGenuine, …"""
    model_name: Reading[str]
    processors: Reading[int]
    """Logical processors that are online."""
    flags: Reading[tuple[str, ...]]
    """The flags that every processor has, sorted: those of all lines in `FLAG_NAMES`."""
    flags_of_some: Reading[tuple[str, ...]]
    """The flags that only some processors have: a sign of broken firmware or unlike cores."""
    extension: Reading[VirtualizationExtension]
    """Unknown on aarch64, ppc64 and riscv64, where no flag shows it."""
    second_level_paging: Reading[bool]
    """EPT on Intel, NPT on AMD."""
    tagged_tlb: Reading[bool]
    """VPID on Intel; ASIDs are part of every SVM."""
    avx: Reading[bool]
    avx2: Reading[bool]
    avx512: Reading[bool]
    """At least AVX-512 Foundation."""
    smep: Reading[bool]
    smap: Reading[bool]


def read_processor(host: Host) -> ProcessorFacts:
    """What /proc/cpuinfo says, over all processors."""
    text = host.read_word(CPUINFO)
    architecture = read_architecture(host, text)
    if isinstance(text, Unknown):
        return _unknown_processor(architecture, text)
    lines = tuple(assignments(text, ":"))
    flags, flags_of_some = _common_and_other(_flag_sets(lines))
    every = flags | flags_of_some
    if not lines:
        return _unknown_processor(architecture, not_shown(CPUINFO))
    extension = _extension(architecture, every)
    return ProcessorFacts(
        architecture=architecture,
        vendor=_first(lines, VENDOR_NAMES),
        model_name=_model_name(lines),
        processors=_count(lines),
        flags=tuple(sorted(flags)),
        flags_of_some=tuple(sorted(flags_of_some)),
        extension=extension,
        second_level_paging=_second_level_paging(extension, flags),
        tagged_tlb=_tagged_tlb(extension, flags),
        avx="avx" in flags,
        avx2="avx2" in flags,
        avx512="avx512f" in flags,
        smep="smep" in flags,
        smap="smap" in flags,
    )


def read_architecture(host: Host, cpuinfo: Reading[str]) -> str:
    """The machine's architecture as `uname -m` says it; `unknown` where a recording tells nothing.

    A recorded machine says it itself, or by /proc/sys/kernel/arch (since Linux
    6.1, Documentation/admin-guide/sysctl/kernel.rst), or by what only one
    architecture prints in /proc/cpuinfo.
    """
    if host.live:
        return os.uname().machine
    if host.machine.architecture:
        return host.machine.architecture
    said = host.read_word("/proc/sys/kernel/arch")
    if isinstance(said, str) and re.fullmatch(r"[a-z0-9_]{1,20}", said):
        return said
    return _architecture_of(cpuinfo) if isinstance(cpuinfo, str) else "unknown"


def is_x86(architecture: str) -> bool:
    """Whether the architecture is Intel's and AMD's."""
    return architecture in X86


def _architecture_of(cpuinfo: str) -> str:
    lines = tuple(assignments(cpuinfo, ":"))
    names = {name for name, _ in lines}
    if ("vendor_id", "IBM/S390") in lines:
        return "s390x"
    if "CPU implementer" in names:
        return "aarch64"
    if any(name == "isa" and value.startswith("rv64") for name, value in lines):
        return "riscv64"
    if any(name == "cpu" and value.startswith("POWER") for name, value in lines):
        return "ppc64le"
    if "flags" in names and "vendor_id" in names:
        return "x86_64" if any("lm" in each for each in _flag_sets(lines)) else "i686"
    return "unknown"


def _unknown_processor(architecture: str, why: Unknown) -> ProcessorFacts:
    return ProcessorFacts(
        architecture=architecture,
        vendor=why,
        model_name=why,
        processors=why,
        flags=why,
        flags_of_some=why,
        extension=why,
        second_level_paging=why,
        tagged_tlb=why,
        avx=why,
        avx2=why,
        avx512=why,
        smep=why,
        smap=why,
    )


def _flag_sets(lines: Iterable[tuple[str, str]]) -> list[frozenset[str]]:
    """The flags of each processor; those that are printed once for all stand in one set."""
    sets: list[set[str]] = [set()]
    seen: dict[tuple[str, str], frozenset[str]] = {}
    names: set[str] = set()
    for line in lines:
        name = line[0]
        if name not in FLAG_NAMES:
            continue
        if name in names:  # the next processor's block begins
            sets.append(set())
            names = set()
        names.add(name)
        if line not in seen:
            seen[line] = frozenset(_isa_extensions(line[1]) if name == "isa" else line[1].split())
        sets[-1] |= seen[line]
    return [frozenset(each) for each in sets]


def _isa_extensions(isa: str) -> Iterable[str]:
    """`rv64imafdch_zicsr` as its single letters and its named extensions.

    Source: Documentation/arch/riscv/uabi.rst, "ISA string ordering".
    """
    base, *named = isa.partition(" ")[0].split("_")
    letters = re.match(r"rv(?:32|64)([a-y]*)", base)
    return (*(letters[1] if letters else ""), *(name for name in named if name))


def _common_and_other(sets: list[frozenset[str]]) -> tuple[frozenset[str], frozenset[str]]:
    common = frozenset.intersection(*sets)
    return common, frozenset.union(*sets) - common


def _first(lines: Iterable[tuple[str, str]], names: tuple[str, ...]) -> Reading[str]:
    for wanted in names:
        for name, value in lines:
            if name == wanted and value:
                return value
    return not_shown(f"{CPUINFO}: {', '.join(names)}")


def _model_name(lines: tuple[tuple[str, str], ...]) -> Reading[str]:
    for name, value in lines:  # s390: "processor 0: version = FF,  identification = …,  machine = 3906"
        found = re.search(r"machine = ([0-9A-Za-z]+)", value) if name.startswith("processor ") else None
        if found:
            return f"IBM {found[1]}"
    return _first(lines, MODEL_NAMES)


def _count(lines: Iterable[tuple[str, str]]) -> Reading[int]:
    count = sum(
        name == "processor" or re.fullmatch(r"processor [0-9]+", name) is not None for name, _ in lines
    )
    return count or not_shown(f"{CPUINFO}: processor")


def _extension(architecture: str, flags: frozenset[str]) -> Reading[VirtualizationExtension]:
    if is_x86(architecture):
        if "vmx" in flags:
            return VirtualizationExtension.VMX
        return VirtualizationExtension.SVM if "svm" in flags else VirtualizationExtension.NONE
    if architecture == "s390x":
        return VirtualizationExtension.SIE if "sie" in flags else VirtualizationExtension.NONE
    return not_shown(f"{architecture} has no flag for it")


def _second_level_paging(extension: Reading[VirtualizationExtension], flags: frozenset[str]) -> Reading[bool]:
    if extension is VirtualizationExtension.VMX:
        return "ept" in flags
    if extension is VirtualizationExtension.SVM:
        return "npt" in flags
    return not_shown("shown only beside vmx or svm")


def _tagged_tlb(extension: Reading[VirtualizationExtension], flags: frozenset[str]) -> Reading[bool]:
    if extension is VirtualizationExtension.VMX:
        return "vpid" in flags
    if extension is VirtualizationExtension.SVM:
        return True
    return not_shown("shown only beside vmx or svm")
