"""Each recorded machine is read as what it is."""

import json
from functools import cache
from typing import Any

import pytest

from kvmwizard.host.facts import Facts
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.host.reading import Unknown, UnknownReason
from tests.host.trees import HOSTS, RECORDED

UNKNOWN = object()
"""Stands for any `Unknown`."""

EXPECTED: dict[str, dict[str, object]] = {
    "debian-12-kvm-pvm": {
        "processor.extension": "none",
        "processor.processors": 4,
        "processor.avx512": True,
        "environment.hypervisor": "firecracker",
        "environment.container": None,
        "firmware.uefi": False,
        "kernel.configuration_source": "/proc/config.gz",
        "modules.modules.kvm.state": "built-in",
        "modules.modules.kvm_pvm.state": "built-in",
        "modules.modules.kvm_intel.state": "absent",
        "modules.modules.tun.state": "built-in",
        "modules.loadable": False,
        "modules.enable_virt_at_load": True,
        "kvm.node.mode": 0o600,
        "kvm.node.group": "root",
        "users.kvm_group": None,
        "cgroups.layout": "hybrid",
        "distribution.package_manager": "apt",
        "distribution.udev_running": False,
        "distribution.boot_loader": "none",
    },
    "intel-debian-12": {
        "processor.extension": "vmx",
        "processor.second_level_paging": True,
        "processor.tagged_tlb": True,
        "environment.hypervisor": None,
        "firmware.virtualization": UNKNOWN,
        "firmware.secure_boot": False,
        "modules.modules.kvm_intel.state": "loaded",
        "modules.modules.kvm_amd.state": "available",
        "modules.modules.vhost_net.state": "loaded",
        "modules.nested": True,
        "modules.ept": True,
        "modules.loadable": True,
        "kvm.node.mode": 0o660,
        "kvm.node.group": "kvm",
        "kvm.opened": UNKNOWN,
        "kvm.guest": UNKNOWN,
        "iommu.tables": ["DMAR"],
        "iommu.groups": 3,
        "iommu.units": ["dmar0"],
        "iommu.parameters": ["intel_iommu=on", "iommu=pt"],
        "cgroups.layout": "v2",
        "distribution.boot_loader": "grub",
        "qemu.binaries.0.version": "7.2.22",
        "qemu.image_tool": "/usr/bin/qemu-img",
        "toolchain.tools.gcc.version": "12.2.0",
        "toolchain.tools.flex.path": None,
        "users.caller": "alice",
        "users.kvm_group": "kvm",
        "users.kvm_group_id": 104,
    },
    "intel-firmware-off": {
        "processor.extension": "none",
        "firmware.virtualization": "disabled",
        "firmware.virtualization_source": "kernel-log",
        "firmware.secure_boot": True,
        "firmware.lockdown": "integrity",
        "kvm.node": None,
        "kvm.opened": "absent",
        "iommu.tables": [],
        "iommu.groups": 0,
    },
    "amd-fedora-41": {
        "processor.extension": "svm",
        "processor.second_level_paging": True,
        "processor.tagged_tlb": True,
        "kernel.configuration_source": "/lib/modules/6.12.9-200.fc41.x86_64/config",
        "kernel.installed_releases": ["6.12.9-200.fc41.x86_64"],
        "modules.nested": True,
        "modules.ept": True,
        "modules.enable_virt_at_load": True,
        "iommu.tables": ["IVRS"],
        "kvm.sev": True,
        "kvm.node.mode": 0o666,
        "distribution.package_manager": "dnf",
        "distribution.boot_loader": "grubby-bls",
        "qemu.binaries.0.path": "/usr/bin/qemu-system-x86_64",
        "security.selinux": "enforcing",
        "security.apparmor": False,
    },
    "rhel-7.3": {
        "kernel.release": "3.10.0-514.el7.x86_64",
        "kernel.log_lines": UNKNOWN,
        "modules.nested": False,
        "cgroups.layout": "v1",
        "distribution.package_manager": "yum",
        "distribution.boot_loader": "grub",
        "qemu.binaries.0.path": "/usr/libexec/qemu-kvm",
        "qemu.binaries.0.architecture": "x86_64",
        "qemu.binaries.0.version": "1.5.3",
        "toolchain.tools.gcc.version": "4.8.5",
        "toolchain.tools.ld.version": "2.25.1",
        "security.selinux": "permissive",
        "users.caller": "root",
        "users.sudo_caller": "carol",
        "users.kvm_group_id": 36,
    },
    "guest-without-nesting": {
        "processor.extension": "none",
        "environment.hypervisor": "kvm",
        "environment.container": None,
        "modules.modules.kvm_intel.state": "available",
        "modules.modules.kvm.state": "available",
        "kvm.opened": "absent",
        "distribution.like": ["debian"],
        "users.kvm_group": "kvm",
    },
    "aarch64-debian-12": {
        "processor.architecture": "aarch64",
        "processor.extension": UNKNOWN,
        "processor.second_level_paging": UNKNOWN,
        "environment.hypervisor": None,
        "firmware.virtualization": UNKNOWN,
        "modules.modules.kvm.state": "built-in",
        "iommu.tables": ["IORT"],
        "qemu.binaries.0.architecture": "aarch64",
        "qemu.binaries.1.architecture": "arm",
    },
    "s390x-debian-12": {
        "processor.architecture": "s390x",
        "processor.extension": "sie",
        "processor.processors": 2,
        "processor.model_name": "IBM 8561",
        "environment.hypervisor": None,
        "firmware.secure_boot": False,
        "modules.nested": False,
        "distribution.boot_loader": "zipl",
    },
    "riscv64-guest": {
        "processor.architecture": "riscv64",
        "processor.extension": UNKNOWN,
        "environment.hypervisor": "qemu",
        "modules.modules.kvm.state": "available",
        "iommu.tables": UNKNOWN,
    },
    "docker-container": {
        "processor.extension": "vmx",
        "environment.container": "docker",
        "environment.hypervisor": None,
        "firmware.uefi": UNKNOWN,
        "firmware.secure_boot": UNKNOWN,
        "modules.modules.kvm_intel.state": "loaded",
        "kvm.opened": "absent",
        "distribution.init": "bash",
        "kernel.log_lines": UNKNOWN,
    },
}


def test_every_recorded_machine_is_expected() -> None:
    assert set(EXPECTED) == set(RECORDED)


@pytest.mark.parametrize(
    ("name", "fact"), [(name, fact) for name, facts in EXPECTED.items() for fact in facts]
)
def test_a_fact(name: str, fact: str) -> None:
    found: Any = _read(name)
    for part in fact.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    expected = EXPECTED[name][fact]
    if expected is UNKNOWN:
        assert "unknown" in found
    else:
        assert found == expected


@pytest.mark.parametrize("name", RECORDED)
def test_what_only_the_live_kernel_says_stays_unknown(name: str) -> None:
    facts = gather(Host(HOSTS / name))
    assert not facts.live
    for free in (facts.disk.build_free, facts.disk.root_free, facts.disk.boot_free):
        assert isinstance(free, Unknown)
        assert free.unknown is UnknownReason.NOT_LIVE
    assert isinstance(facts.kvm.api_version, Unknown)
    assert isinstance(facts.kvm.guest, Unknown)


@pytest.mark.parametrize("name", RECORDED)
def test_facts_survive_json(name: str) -> None:
    facts = gather(Host(HOSTS / name))
    assert Facts.model_validate_json(facts.model_dump_json()) == facts


def test_the_facilities_of_s390_are_flags() -> None:
    flags = _read("s390x-debian-12")["processor"]["flags"]
    assert {"sie", "158"} <= set(flags)


def test_the_extensions_of_riscv_are_flags() -> None:
    flags = _read("riscv64-guest")["processor"]["flags"]
    assert {"h", "v"} & set(flags) == {"h"}
    assert "zicsr" in flags


def test_the_flags_of_vmx_are_flags() -> None:
    assert "unrestricted_guest" in _read("intel-debian-12")["processor"]["flags"]


@cache
def _read(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(gather(Host(HOSTS / name)).model_dump_json())
    return facts
