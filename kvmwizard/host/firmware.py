"""The firmware: whether it has locked virtualization off, and Secure Boot."""

import re
from enum import StrEnum
from typing import Literal

from kvmwizard.host.host import Host
from kvmwizard.host.kernel import KernelFacts
from kvmwizard.host.parsing import bracketed, not_shown, switch
from kvmwizard.host.processor import ProcessorFacts, VirtualizationExtension, is_x86
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason

INTEL_VENDORS = ("GenuineIntel", "CentaurHauls", "Shanghai")
AMD_VENDORS = ("AuthenticAMD", "HygonGenuine")
INTEL_FEATURE_CONTROL = 0x3A
"""IA32_FEATURE_CONTROL: bit 0 locked, bit 2 VMX outside SMX (arch/x86/include/asm/msr-index.h)."""
AMD_VM_CONTROL = 0xC0010114
"""VM_CR: bit 4 SVMDIS (arch/x86/include/asm/svm.h)."""
INTEL_LOCKED = 1 << 0
INTEL_VMX_OUTSIDE_SMX = 1 << 2
AMD_SVM_DISABLED = 1 << 4
REGISTER_BYTES = 8
LOG_DISABLED = re.compile(
    r"disabled (?:by bios|\(by bios\))|not enabled \(by bios\)|disable TXT in the BIOS or activate TXT",
    re.IGNORECASE,
)
"""The kernel's words for a locked extension.

`kvm: disabled by bios` until 5.19 and `kvm: support for 'kvm_intel' disabled by bios`
in 6.1 (arch/x86/kvm/x86.c); `x86/cpu: VMX (outside TXT) disabled by BIOS`
(arch/x86/kernel/cpu/feat_ctl.c); in 6.12 `VMX not enabled (by BIOS) in MSR_IA32_FEAT_CTL
on CPU 0` (vmx.c) and `SVM disabled (by BIOS) in MSR_VM_CR` (arch/x86/kernel/cpu/amd.c).
"""
LOG_SUBJECT = re.compile(r"\b(?:kvm|kvm_intel|kvm_amd|VMX|SVM)\b")
EFI_DIRECTORY = "/sys/firmware/efi"
EFI_VARIABLES = "/sys/firmware/efi/efivars"
SECURE_BOOT_VARIABLE = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""Four bytes of attributes, then 1 where Secure Boot is on (UEFI 2.10, 3.3; efivarfs.rst)."""
SECURE_BOOT_BYTES = 5
S390_SECURE_BOOT = "/sys/firmware/ipl/secure"
"""1 where the system was loaded by secure IPL (arch/s390/kernel/ipl.c, since Linux 5.3)."""
LOCKDOWN = "/sys/kernel/security/lockdown"


LockSource = Literal["msr", "kernel-log"]


class FirmwareLock(StrEnum):
    """What the firmware did with the virtualization extension."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """Locked off: only the firmware's setup can turn it on."""
    UNLOCKED = "unlocked"
    """Neither: the kernel may turn it on itself."""


class FirmwareFacts(FactModel):
    """What the firmware allows."""

    virtualization: Reading[FirmwareLock]
    """MSR 0x3A (Intel) or 0xC0010114 (AMD) of every processor, else the kernel's log."""
    virtualization_source: LockSource | None
    """Where that was read; None where it is unknown."""
    registers: tuple[str, ...]
    """The register of each processor as hexadecimal text, where readable."""
    uefi: Reading[bool]
    secure_boot: Reading[bool]
    lockdown: Reading[str]
    """none, integrity or confidentiality (/sys/kernel/security/lockdown)."""


def read_firmware(host: Host, processor: ProcessorFacts, kernel: KernelFacts) -> FirmwareFacts:
    """What the firmware allows."""
    registers = _registers(host, processor)
    virtualization, source = _virtualization(processor, registers, kernel.log_lines)
    uefi = _uefi(host)
    return FirmwareFacts(
        virtualization=virtualization,
        virtualization_source=source,
        registers=() if isinstance(registers, Unknown) else tuple(f"{value:#x}" for value in registers),
        uefi=uefi,
        secure_boot=_secure_boot(host, uefi, processor.architecture),
        lockdown=_lockdown(host, kernel.options),
    )


def _virtualization(
    processor: ProcessorFacts, registers: Reading[tuple[int, ...]], log: Reading[tuple[str, ...]]
) -> tuple[Reading[FirmwareLock], LockSource | None]:
    if not isinstance(registers, Unknown):
        states = {_lock(processor, value) for value in registers}
        # One processor locked off is enough: KVM needs them all.
        for state in (FirmwareLock.DISABLED, FirmwareLock.UNLOCKED, FirmwareLock.ENABLED):
            if state in states:
                return state, "msr"
    lines = log if is_x86(processor.architecture) and not isinstance(log, Unknown) else ()
    if any(LOG_DISABLED.search(line) and LOG_SUBJECT.search(line) for line in lines):
        return FirmwareLock.DISABLED, "kernel-log"
    return registers if isinstance(registers, Unknown) else not_shown("no register"), None


def _lock(processor: ProcessorFacts, value: int) -> FirmwareLock:
    if _register_number(processor) == AMD_VM_CONTROL:
        return FirmwareLock.DISABLED if value & AMD_SVM_DISABLED else FirmwareLock.ENABLED
    if value & INTEL_VMX_OUTSIDE_SMX:
        return FirmwareLock.ENABLED if value & INTEL_LOCKED else FirmwareLock.UNLOCKED
    return FirmwareLock.DISABLED if value & INTEL_LOCKED else FirmwareLock.UNLOCKED


def _register_number(processor: ProcessorFacts) -> int | None:
    if processor.vendor in INTEL_VENDORS or processor.extension is VirtualizationExtension.VMX:
        return INTEL_FEATURE_CONTROL
    if processor.vendor in AMD_VENDORS or processor.extension is VirtualizationExtension.SVM:
        return AMD_VM_CONTROL
    return None


def _registers(host: Host, processor: ProcessorFacts) -> Reading[tuple[int, ...]]:
    """The register of every processor, by the msr driver (msr(4)): 8 bytes at the register's number."""
    number = _register_number(processor) if is_x86(processor.architecture) else None
    if number is None:
        return not_shown(f"no such register on {processor.architecture}")
    if not host.live:
        return Unknown(unknown=UnknownReason.NOT_LIVE, detail="/dev/cpu/*/msr")
    names = host.list_directory("/dev/cpu")
    if isinstance(names, Unknown):
        return names
    values: list[int] = []
    for name in names or ():
        if not name.isdecimal():
            continue
        content = host.read_at(f"/dev/cpu/{name}/msr", number, REGISTER_BYTES)
        if isinstance(content, Unknown):
            return content
        if content is not None and len(content) == REGISTER_BYTES:
            values.append(int.from_bytes(content, "little"))
    return tuple(values) if values else not_shown("/dev/cpu/*/msr")


def _uefi(host: Host) -> Reading[bool]:
    """Whether the system was started by UEFI; a container's empty /sys/firmware says nothing."""
    found = host.exists(EFI_DIRECTORY)
    if found is False and not host.list_directory("/sys/firmware"):
        return not_shown("/sys/firmware")
    return found


def _secure_boot(host: Host, uefi: Reading[bool], architecture: str) -> Reading[bool]:
    if architecture == "s390x":
        return switch(host.read_word(S390_SECURE_BOOT), S390_SECURE_BOOT)
    if architecture.startswith("ppc64"):
        return not_shown("POWER has no Secure Boot of UEFI")
    if uefi is not True:
        return uefi
    content = host.read_bytes(f"{EFI_VARIABLES}/{SECURE_BOOT_VARIABLE}")
    if isinstance(content, Unknown):
        return content
    if content is None:
        # A firmware without Secure Boot has no such variable, but has others.
        return False if host.list_directory(EFI_VARIABLES) else not_shown(EFI_VARIABLES)
    if len(content) != SECURE_BOOT_BYTES:
        return Unknown(
            unknown=UnknownReason.NOT_UNDERSTOOD, detail=f"{SECURE_BOOT_VARIABLE}: {content[:16]!r}"
        )
    return content[-1] == 1


def _lockdown(host: Host, options: Reading[dict[str, str]]) -> Reading[str]:
    text = host.read_word(LOCKDOWN)
    if isinstance(text, Unknown) and text.unknown is UnknownReason.NOT_SHOWN:
        without = isinstance(options, dict) and options.get("SECURITY_LOCKDOWN_LSM") == "n"
        return "none" if without or host.list_directory("/sys/kernel/security") else text
    return bracketed(text, LOCKDOWN)
