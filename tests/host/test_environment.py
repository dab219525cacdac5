from pathlib import Path

import pytest

from kvmwizard.host.environment import EnvironmentFacts, read_environment
from kvmwizard.host.processor import read_processor
from kvmwizard.host.reading import Unknown
from tests.host.trees import make_host

GUEST = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu lm hypervisor\n"
BARE_METAL = GUEST.replace(" hypervisor", "")
ARM = "processor\t: 0\nFeatures\t: fp\nCPU implementer\t: 0x41\n"
FIRST_NAMESPACES = {
    "/proc/self/ns/pid": "pid:[4026531836]",
    "/proc/self/ns/uts": "uts:[4026531838]",
    "/proc/self/ns/cgroup": "cgroup:[4026531835]",
}
OTHER_NAMESPACES = {**FIRST_NAMESPACES, "/proc/self/ns/pid": "pid:[4026532001]"}


def _read(
    root: Path,
    files: dict[str, str | bytes],
    links: dict[str, str] | None = None,
    log: tuple[str, ...] = (),
) -> EnvironmentFacts:
    host = make_host(root, files, links=links)
    return read_environment(host, read_processor(host), log)


@pytest.mark.parametrize(
    ("files", "log", "hypervisor"),
    [
        ({}, (), "unnamed"),
        ({}, ("Hypervisor detected: Microsoft Hyper-V",), "hyperv"),
        ({}, ("Hypervisor detected: KVM",), "kvm"),
        ({"/sys/class/dmi/id/sys_vendor": "QEMU\n"}, ("Hypervisor detected: KVM",), "kvm"),
        ({"/sys/class/dmi/id/sys_vendor": "QEMU\n"}, (), "qemu"),
        ({"/sys/class/dmi/id/product_name": "VirtualBox\n"}, ("Hypervisor detected: KVM",), "virtualbox"),
        ({"/sys/class/dmi/id/product_name": "VMware7,1\n"}, (), "vmware"),
        ({"/sys/class/dmi/id/sys_vendor": "Amazon EC2\n"}, (), "kvm"),
        ({"/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n"}, (), "hyperv"),
        ({}, ("ACPI: RSDP 0x00000000000E0000 000024 (v02 FIRECK)",), "firecracker"),
        ({"/sys/firmware/acpi/tables/FACP": b"FACP\x14\x01\0\0\x06>FIRECKFCVMFADT"}, (), "firecracker"),
        ({"/sys/hypervisor/type": "xen\n"}, (), "xen"),
    ],
)
def test_who_is_above_a_guest(
    tmp_path: Path, files: dict[str, str | bytes], log: tuple[str, ...], hypervisor: str
) -> None:
    assert _read(tmp_path, {"/proc/cpuinfo": GUEST, **files}, log=log).hypervisor == hypervisor


@pytest.mark.parametrize("maker", ["Dell Inc.", "Amazon EC2", "Google Compute Engine"])
def test_bare_metal_is_bare_whoever_made_it(tmp_path: Path, maker: str) -> None:
    files: dict[str, str | bytes] = {"/proc/cpuinfo": BARE_METAL, "/sys/class/dmi/id/sys_vendor": maker}
    assert _read(tmp_path, files).hypervisor is None


def test_xen_control_domain_is_a_host(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "/proc/cpuinfo": GUEST,
        "/sys/hypervisor/type": "xen\n",
        "/proc/xen/capabilities": "control_d\n",
    }
    assert _read(tmp_path, files).hypervisor is None


def test_a_cloud_arm_machine_is_not_claimed_to_be_either(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"/proc/cpuinfo": ARM, "/sys/class/dmi/id/sys_vendor": "Amazon EC2\n"}
    assert isinstance(_read(tmp_path, files).hypervisor, Unknown)


def test_an_arm_machine_that_shows_nothing_is_unknown(tmp_path: Path) -> None:
    assert isinstance(_read(tmp_path, {"/proc/cpuinfo": ARM}).hypervisor, Unknown)


def test_the_hypervisor_node_of_a_device_tree_counts(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "/proc/cpuinfo": ARM,
        "/proc/device-tree/hypervisor/compatible": "linux,kvm\0",
    }
    assert _read(tmp_path, files).hypervisor == "kvm"


@pytest.mark.parametrize(
    ("control_program", "hypervisor"), [("KVM/Linux", "kvm"), ("z/VM    7.2.0", "zvm"), ("other", "unnamed")]
)
def test_the_control_program_of_s390(tmp_path: Path, control_program: str, hypervisor: str) -> None:
    files: dict[str, str | bytes] = {
        "/proc/cpuinfo": "vendor_id       : IBM/S390\n",
        "/proc/sysinfo": f"Manufacturer:         IBM\n\nVM00 Name:            GUEST\n"
        f"VM00 Control Program: {control_program}\n",
    }
    assert _read(tmp_path, files).hypervisor == hypervisor


@pytest.mark.parametrize(
    ("files", "container"),
    [
        ({"/run/systemd/container": "lxc\n"}, "lxc"),
        ({"/proc/1/environ": "PATH=/bin\0container=systemd-nspawn\0"}, "systemd-nspawn"),
        ({"/.dockerenv": ""}, "docker"),
        ({"/run/.containerenv": "", "/.dockerenv": ""}, "podman"),
        ({"/proc/1/cgroup": "0::/kubepods.slice/kubepods-pod1\n"}, "kubernetes"),
        ({"/proc/1/cgroup": "1:cpu:/docker/3f2a\n"}, "docker"),
        ({"/proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, "wsl"),
    ],
)
def test_containers(tmp_path: Path, files: dict[str, str | bytes], container: str) -> None:
    assert _read(tmp_path, files, OTHER_NAMESPACES).container == container


def test_a_root_made_of_an_image_is_no_container(tmp_path: Path) -> None:
    assert _read(tmp_path, {"/.dockerenv": ""}, FIRST_NAMESPACES).container is None


def test_foreign_namespaces_without_a_sign_are_unknown(tmp_path: Path) -> None:
    assert isinstance(_read(tmp_path, {}, OTHER_NAMESPACES).container, Unknown)
