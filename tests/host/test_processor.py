from pathlib import Path

import pytest

from kvmwizard.host.processor import VirtualizationExtension, read_processor
from kvmwizard.host.reading import Unknown, UnknownReason
from tests.host.trees import make_host

X86 = {"architecture": "x86_64"}


def _cpuinfo(*flags: str) -> dict[str, str]:
    blocks = (
        f"processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: A Processor\nflags\t\t: {each}\n\n"
        for number, each in enumerate(flags)
    )
    return {"/proc/cpuinfo": "".join(blocks)}


def test_flags_of_every_processor_count(tmp_path: Path) -> None:
    host = make_host(tmp_path, _cpuinfo("fpu vmx ept", "fpu vmx", "fpu vmx ept"), machine=X86)
    processor = read_processor(host)
    assert processor.processors == 3
    assert processor.flags == ("fpu", "vmx")
    assert processor.flags_of_some == ("ept",)
    assert processor.second_level_paging is False


def test_an_extension_that_one_processor_lacks_is_shown_as_unlike(tmp_path: Path) -> None:
    processor = read_processor(make_host(tmp_path, _cpuinfo("fpu vmx", "fpu"), machine=X86))
    assert processor.extension is VirtualizationExtension.VMX
    assert processor.flags_of_some == ("vmx",)


def test_the_line_of_vmx_flags_belongs_to_its_processor(tmp_path: Path) -> None:
    text = "".join(
        f"processor\t: {number}\nflags\t\t: fpu vmx\nvmx flags\t: ept vpid\n\n" for number in range(2)
    )
    processor = read_processor(make_host(tmp_path, {"/proc/cpuinfo": text}, machine=X86))
    assert processor.flags == ("ept", "fpu", "vmx", "vpid")
    assert processor.second_level_paging is True
    assert processor.tagged_tlb is True


def test_without_an_extension_its_paging_is_not_shown(tmp_path: Path) -> None:
    processor = read_processor(make_host(tmp_path, _cpuinfo("fpu avx"), machine=X86))
    assert processor.extension is VirtualizationExtension.NONE
    assert isinstance(processor.second_level_paging, Unknown)
    assert processor.avx is True
    assert processor.avx2 is False


@pytest.mark.parametrize(
    ("cpuinfo", "architecture"),
    [
        ("processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu lm svm\n", "x86_64"),
        ("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu\n", "i686"),
        ("processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n", "aarch64"),
        ("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", "ppc64le"),
        ("processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc\n", "riscv64"),
        ("vendor_id       : IBM/S390\n# processors    : 1\n", "s390x"),
        ("something\t: else\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_recording_without_its_architecture_is_told_by_cpuinfo(
    tmp_path: Path, cpuinfo: str, architecture: str
) -> None:
    host = make_host(tmp_path, {"/proc/cpuinfo": cpuinfo})
    assert read_processor(host).architecture == architecture


def test_power_shows_no_flag(tmp_path: Path) -> None:
    text = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\n\nmachine\t\t: PowerNV 9006\n"
    processor = read_processor(make_host(tmp_path, {"/proc/cpuinfo": text}))
    assert processor.model_name == "POWER9, altivec supported"
    assert processor.processors == 1
    assert isinstance(processor.extension, Unknown)


def test_no_cpuinfo_is_unknown_and_not_none(tmp_path: Path) -> None:
    processor = read_processor(make_host(tmp_path, {}, machine=X86))
    for answer in (processor.extension, processor.flags, processor.avx, processor.processors):
        assert isinstance(answer, Unknown)
        assert answer.unknown is UnknownReason.NOT_SHOWN
