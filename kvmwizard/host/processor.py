"""The processor: what it is, and what it offers to guests."""

from enum import StrEnum

from kvmwizard.host.reading import FactModel, Reading


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
    """The flags that every processor has, sorted (`flags`, `vmx flags`, `Features`, `features`, `facilities`, riscv `isa` letters)."""
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
