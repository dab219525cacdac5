from pathlib import Path

import pytest

from kvmwizard.host.firmware import FirmwareFacts, FirmwareLock, read_firmware
from kvmwizard.host.host import Host
from kvmwizard.host.kernel import read_kernel
from kvmwizard.host.processor import read_processor
from kvmwizard.host.reading import Unknown
from tests.host.trees import make_host

INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu lm vmx\n"
AMD = "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu lm svm\n"
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class RegisterHost(Host):
    """A recorded machine whose processors' registers can be read, as by the msr driver."""

    def __init__(self, root: Path, registers: tuple[int, ...]) -> None:
        super().__init__(root)
        self.live = True
        self.root = root
        self.registers = registers
        self.offsets: set[int] = set()

    def path(self, path: str) -> Path:
        return self._inside(path)

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        self.offsets.add(offset)
        return self.registers[int(path.split("/")[3])].to_bytes(size, "little")


def _read(host: Host, log: tuple[str, ...] = ()) -> FirmwareFacts:
    return read_firmware(host, read_processor(host), read_kernel(host, log))


@pytest.mark.parametrize(
    ("cpuinfo", "registers", "lock"),
    [
        (INTEL, (0x5, 0x5), FirmwareLock.ENABLED),
        (INTEL, (0x1, 0x1), FirmwareLock.DISABLED),
        (INTEL, (0x3,), FirmwareLock.DISABLED),  # inside TXT alone
        (INTEL, (0x0,), FirmwareLock.UNLOCKED),
        (INTEL, (0x4,), FirmwareLock.UNLOCKED),
        (INTEL, (0x5, 0x5, 0x1), FirmwareLock.DISABLED),  # the last processor alone is locked off
        (AMD, (0x0, 0x8), FirmwareLock.ENABLED),
        (AMD, (0x18, 0x18), FirmwareLock.DISABLED),
    ],
)
def test_the_registers_of_every_processor(
    tmp_path: Path, cpuinfo: str, registers: tuple[int, ...], lock: FirmwareLock
) -> None:
    cpus = {f"/dev/cpu/{number}/msr": "" for number in range(len(registers))}
    make_host(tmp_path, {"/proc/cpuinfo": cpuinfo, "/dev/cpu/microcode": "", **cpus})
    host = RegisterHost(tmp_path, registers)
    firmware = _read(host)
    assert firmware.virtualization is lock
    assert firmware.virtualization_source == "msr"
    assert firmware.registers == tuple(f"{value:#x}" for value in registers)
    assert host.offsets == {0x3A if cpuinfo is INTEL else 0xC0010114}


@pytest.mark.parametrize(
    "line",
    [
        "kvm: disabled by bios",
        "kvm: disable TXT in the BIOS or activate TXT before enabling KVM",
        "kvm: support for 'kvm_intel' disabled by bios",
        "x86/cpu: VMX (outside TXT) disabled by BIOS",
        "VMX not enabled (by BIOS) in MSR_IA32_FEAT_CTL on CPU 3",
        "kvm: support for 'kvm_amd' disabled by bios",
        "SVM disabled (by BIOS) in MSR_VM_CR",
        "kvm_amd: SVM disabled (by BIOS) in MSR_VM_CR on CPU 3",
    ],
)
def test_the_words_of_every_kernel(tmp_path: Path, line: str) -> None:
    host = make_host(tmp_path, {"/proc/cpuinfo": INTEL})
    firmware = _read(host, ("Linux version 6.1", line, "ata1: disabled by bios"))
    assert firmware.virtualization is FirmwareLock.DISABLED
    assert firmware.virtualization_source == "kernel-log"


@pytest.mark.parametrize(
    "line",
    [
        "ata1: disabled by bios",
        "Local APIC disabled by BIOS -- you can enable it",
        "kvm: no hardware support",
    ],
)
def test_other_words_say_nothing_of_it(tmp_path: Path, line: str) -> None:
    firmware = _read(make_host(tmp_path, {"/proc/cpuinfo": INTEL}), (line,))
    assert isinstance(firmware.virtualization, Unknown)
    assert firmware.virtualization_source is None


@pytest.mark.parametrize(
    ("files", "uefi", "secure_boot"),
    [
        ({SECURE_BOOT: b"\x06\0\0\0\x01"}, True, True),
        ({SECURE_BOOT: b"\x06\0\0\0\x00"}, True, False),
        ({"/sys/firmware/efi/efivars/BootOrder-8be4": b""}, True, False),
        ({"/sys/firmware/acpi/tables/FACP": b""}, False, False),
    ],
)
def test_secure_boot(tmp_path: Path, files: dict[str, bytes], uefi: bool, secure_boot: bool) -> None:
    firmware = _read(make_host(tmp_path, files, machine={"architecture": "x86_64"}))
    assert firmware.uefi is uefi
    assert firmware.secure_boot is secure_boot


@pytest.mark.parametrize("files", [{SECURE_BOOT: b"\x01"}, {"/sys/firmware/efi/fw_platform_size": b"64"}, {}])
def test_secure_boot_that_cannot_be_told_is_unknown(tmp_path: Path, files: dict[str, bytes]) -> None:
    firmware = _read(make_host(tmp_path, files, machine={"architecture": "x86_64"}))
    assert isinstance(firmware.secure_boot, Unknown)


@pytest.mark.parametrize(
    ("files", "lockdown"),
    [
        ({"/sys/kernel/security/lockdown": "none [integrity] confidentiality\n"}, "integrity"),
        ({"/sys/kernel/security/lockdown": "[none] integrity confidentiality\n"}, "none"),
        ({"/sys/kernel/security/lsm": "capability"}, "none"),
        (
            {"/proc/sys/kernel/osrelease": "6.1\n", "/boot/config-6.1": "#\nCONFIG_MODULES=y\n"},
            "none",
        ),
    ],
)
def test_lockdown(tmp_path: Path, files: dict[str, str], lockdown: str) -> None:
    assert _read(make_host(tmp_path, files)).lockdown == lockdown


def test_lockdown_that_nothing_shows_is_unknown(tmp_path: Path) -> None:
    assert isinstance(_read(make_host(tmp_path, {})).lockdown, Unknown)
