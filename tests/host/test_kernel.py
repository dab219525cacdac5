import gzip
import os
from pathlib import Path

import pytest

from kvmwizard.host.host import Host
from kvmwizard.host.kernel import parse_options, read_kernel, read_kernel_log
from kvmwizard.host.reading import Unknown, UnknownReason
from tests.host.trees import make_host

RELEASE = {"/proc/sys/kernel/osrelease": "6.1.0-49-amd64\n"}
CONFIGURATION = "#\n# Linux/x86 6.1\n#\nCONFIG_KVM=m\n# CONFIG_KVM_AMD is not set\nCONFIG_MODULES=y\n"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/proc/config.gz", gzip.compress(CONFIGURATION.encode())),
        ("/boot/config-6.1.0-49-amd64", CONFIGURATION.encode()),
        ("/lib/modules/6.1.0-49-amd64/config", CONFIGURATION.encode()),
        ("/lib/modules/6.1.0-49-amd64/build/.config", CONFIGURATION.encode()),
    ],
    ids=["packed", "boot", "modules", "build"],
)
def test_the_configuration_is_found_in_every_place(tmp_path: Path, path: str, content: bytes) -> None:
    kernel = read_kernel(make_host(tmp_path, {**RELEASE, path: content}), ())
    assert kernel.configuration_source == path
    assert isinstance(kernel.options, dict)
    assert (kernel.options["KVM"], kernel.options["KVM_AMD"], kernel.options["MODULES"]) == ("m", "n", "y")


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"no configuration"), gzip.compress(b"x")[:9]],
    ids=["no gzip", "no configuration", "cut short"],
)
def test_a_damaged_configuration_is_not_understood(tmp_path: Path, content: bytes) -> None:
    kernel = read_kernel(make_host(tmp_path, {"/proc/config.gz": content}), ())
    assert isinstance(kernel.options, Unknown)
    assert kernel.options.unknown is UnknownReason.NOT_UNDERSTOOD


def test_a_configuration_that_unpacks_without_end_is_cut(tmp_path: Path) -> None:
    bomb = gzip.compress(CONFIGURATION.encode() + b"\n" * (64 * 1024 * 1024))
    kernel = read_kernel(make_host(tmp_path, {"/proc/config.gz": bomb}), ())
    assert isinstance(kernel.options, dict)
    assert kernel.options["KVM"] == "m"


def test_without_a_configuration_options_are_unknown(tmp_path: Path) -> None:
    kernel = read_kernel(make_host(tmp_path, RELEASE), ())
    assert isinstance(kernel.options, Unknown)
    assert kernel.configuration_source is None


def test_an_option_that_begins_like_another_is_another() -> None:
    options = parse_options("\nCONFIG_KVM_INTEL_EXTRA=y\nCONFIG_KVM=y\n")
    assert (options["KVM"], options["KVM_INTEL"]) == ("y", "n")


@pytest.mark.parametrize("release", ["", "../../etc", "6.1\0", "a b", "/etc/passwd"])
def test_a_release_that_is_none_leads_nowhere(tmp_path: Path, release: str) -> None:
    kernel = read_kernel(make_host(tmp_path, {"/proc/sys/kernel/osrelease": release}), ())
    assert isinstance(kernel.release, Unknown)


def test_kernels_that_could_be_booted(tmp_path: Path) -> None:
    files = dict.fromkeys(
        (
            "/lib/modules/6.9.1/modules.dep",
            "/lib/modules/6.10.2/modules.dep",
            "/lib/modules/6.11.0/modules.dep",  # no image
            "/lib/modules/6.6.1-0-lts/modules.dep",
            "/lib/modules/6.12.1-arch1/vmlinuz",
            "/boot/vmlinuz-6.9.1",
            "/boot/vmlinuz-6.10.2",
            "/boot/vmlinuz-lts",
            "/boot/vmlinuz-5.4.0",  # no modules
            "/boot/initrd.img-6.9.1",
        ),
        "",
    )
    kernel = read_kernel(make_host(tmp_path, files), ())
    assert kernel.installed_releases == ("6.6.1-0-lts", "6.9.1", "6.10.2", "6.12.1-arch1")


def test_lines_on_virtualization_are_chosen_and_the_command_line_is_not(tmp_path: Path) -> None:
    log = (
        "Command line: kvm-intel.nested=1",
        "Kernel command line: kvm.ignore_msrs=1",
        "x86/cpu: VMX (outside TXT) disabled by BIOS",
        "DMAR: IOMMU enabled",
        "AMD-Vi: Interrupt remapping enabled",
        "kvm_intel: nested",
        "usb 1-1: new device",
    )
    assert read_kernel(make_host(tmp_path, {}), log).log_lines == log[2:6]


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = tuple(f"kvm: line {number}" for number in range(1000))
    lines = read_kernel(make_host(tmp_path, {}), log).log_lines
    assert isinstance(lines, tuple)
    assert len(lines) == 200
    assert (lines[0], lines[-1]) == (log[0], log[-1])


@pytest.mark.parametrize("path", ["/var/log/dmesg", "/var/log/kern.log"])
def test_the_loggers_file_is_read_from_the_last_boot_on(tmp_path: Path, path: str) -> None:
    prefix = "" if path.endswith("dmesg") else "Nov 22 10:00:00 host kernel: "
    lines = (
        f"{prefix}[    0.000000] Linux version 6.0",
        f"{prefix}[    1.000000] kvm: disabled by bios",
        f"{prefix}[    0.000000] Linux version 6.1",
        f"{prefix}[    2.000000] kvm: loaded",
    )
    log = read_kernel_log(make_host(tmp_path, {path: "\n".join(lines) + "\n"}))
    assert log == ("Linux version 6.1", "kvm: loaded")


def test_no_log_at_all_is_unknown(tmp_path: Path) -> None:
    assert isinstance(read_kernel_log(make_host(tmp_path, {})), Unknown)


@pytest.mark.skipif(
    not os.access("/dev/kmsg", os.R_OK), reason="this process may not read the kernel's own log"
)
def test_the_live_log_is_what_the_kernel_says() -> None:
    log = read_kernel_log(Host())
    assert isinstance(log, tuple)
    assert log
    assert not any(line.startswith(("[", "<")) and "] " in line[:20] for line in log[:5])


def test_the_live_release_is_the_running_one() -> None:
    kernel = read_kernel(Host(), ())
    assert kernel.release == os.uname().release
    assert kernel.command_line == tuple(Path("/proc/cmdline").read_text().split())
