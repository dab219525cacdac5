from pathlib import Path

import pytest

from kvmwizard.host.host import Host
from kvmwizard.host.kernel import read_kernel
from kvmwizard.host.modules import MODULES, ModulesFacts, ModuleState, read_modules
from kvmwizard.host.reading import Unknown
from tests.host.trees import make_host

RELEASE = {"/proc/sys/kernel/osrelease": "6.1\n", "/sys/module/block/parameters/x": "1\n"}


def _read(root: Path, files: dict[str, str]) -> ModulesFacts:
    host = make_host(root, {**RELEASE, **files})
    return read_modules(host, read_kernel(host, ()))


def test_loaded_built_in_available_absent(tmp_path: Path) -> None:
    facts = _read(
        tmp_path,
        {
            "/sys/module/kvm/initstate": "live\n",
            "/sys/module/kvm_pvm/parameters/pvm_native": "Y\n",
            "/lib/modules/6.1/modules.builtin": "kernel/drivers/net/tun.ko\n",
            "/lib/modules/6.1/modules.dep": "kernel/arch/x86/kvm/kvm-intel.ko.xz: a.ko.xz\n"
            "updates/dkms/vboxdrv.ko.zst:\nkernel/drivers/vhost/vhost_net.ko:\n",
        },
    )
    states = {name: module.state for name, module in facts.modules.items()}
    assert states == {
        **dict.fromkeys(MODULES, ModuleState.ABSENT),
        "kvm": ModuleState.LOADED,
        "kvm_pvm": ModuleState.BUILT_IN,
        "tun": ModuleState.BUILT_IN,
        "kvm_intel": ModuleState.AVAILABLE,
        "vboxdrv": ModuleState.AVAILABLE,
        "vhost_net": ModuleState.AVAILABLE,
    }


def test_what_the_configuration_builds_in_is_built_in(tmp_path: Path) -> None:
    facts = _read(tmp_path, {"/boot/config-6.1": "#\nCONFIG_KVM=y\nCONFIG_VHOST_NET=m\n"})
    assert facts.modules["kvm"].state is ModuleState.BUILT_IN
    assert facts.modules["vhost_net"].state is ModuleState.ABSENT


def test_without_sysfs_states_are_unknown(tmp_path: Path) -> None:
    host = make_host(tmp_path, {})
    facts = read_modules(host, read_kernel(host, ()))
    assert isinstance(facts.modules["kvm"].state, Unknown)


@pytest.mark.parametrize(
    ("files", "by"),
    [
        ({"/etc/modprobe.d/own.conf": "blacklist kvm-intel\n"}, "/etc/modprobe.d/own.conf"),
        ({"/usr/lib/modprobe.d/own.conf": "  blacklist\tkvm_intel\n"}, "/usr/lib/modprobe.d/own.conf"),
        ({"/run/modprobe.d/a.conf": "install kvm_intel /bin/false\n"}, "/run/modprobe.d/a.conf"),
        ({"/lib/modprobe.d/a.conf": "install \\\n kvm-intel /bin/true\n"}, "/lib/modprobe.d/a.conf"),
        ({"/proc/cmdline": "quiet modprobe.blacklist=nouveau,kvm_intel\n"}, "modprobe.blacklist"),
        ({"/proc/cmdline": "module_blacklist=kvm-intel\n"}, "module_blacklist"),
    ],
)
def test_what_keeps_a_module_out(tmp_path: Path, files: dict[str, str], by: str) -> None:
    facts = _read(tmp_path, files)
    assert facts.modules["kvm_intel"].blacklisted_by == by
    assert facts.modules["kvm_amd"].blacklisted_by is None


@pytest.mark.parametrize(
    "files",
    [
        {"/etc/modprobe.d/own.conf": "# blacklist kvm_intel\n"},
        {"/etc/modprobe.d/own.conf.bak": "blacklist kvm_intel\n"},
        {"/etc/modprobe.d/own.conf": "install kvm_intel /sbin/modprobe --ignore-install kvm_intel\n"},
        {"/etc/modprobe.d/own.conf": "", "/usr/lib/modprobe.d/own.conf": "blacklist kvm_intel\n"},
        {"/etc/modprobe.d/own.conf": "options kvm_intel nested=1\n"},
    ],
)
def test_what_does_not(tmp_path: Path, files: dict[str, str]) -> None:
    assert _read(tmp_path, files).modules["kvm_intel"].blacklisted_by is None


@pytest.mark.parametrize(
    ("path", "value", "nested"),
    [
        ("/sys/module/kvm_intel/parameters/nested", "Y", True),
        ("/sys/module/kvm_intel/parameters/nested", "N", False),
        ("/sys/module/kvm_amd/parameters/nested", "1", True),
        ("/sys/module/kvm_amd/parameters/nested", "0", False),
        ("/sys/module/kvm/parameters/nested", "1", True),
    ],
)
def test_nested_as_printed_by_every_kernel(tmp_path: Path, path: str, value: str, nested: bool) -> None:
    assert _read(tmp_path, {path: value + "\n"}).nested is nested


def test_paging_of_both_makers(tmp_path: Path) -> None:
    assert _read(tmp_path / "amd", {"/sys/module/kvm_amd/parameters/npt": "N\n"}).ept is False
    assert _read(tmp_path / "intel", {"/sys/module/kvm_intel/parameters/ept": "Y\n"}).ept is True
    assert isinstance(_read(tmp_path / "none", {}).ept, Unknown)


def test_a_parameter_that_is_neither_is_not_understood(tmp_path: Path) -> None:
    assert isinstance(_read(tmp_path, {"/sys/module/kvm_intel/parameters/nested": "maybe\n"}).nested, Unknown)


@pytest.mark.parametrize(
    ("files", "loadable"),
    [
        ({"/boot/config-6.1": "#\n# CONFIG_MODULES is not set\nCONFIG_KVM=y\n"}, False),
        ({"/proc/cmdline": "quiet nomodule\n"}, False),
        ({"/proc/sys/kernel/modules_disabled": "1\n"}, False),
        ({"/proc/sys/kernel/modules_disabled": "0\n"}, True),
        ({"/proc/modules": ""}, True),
        ({}, False),
    ],
)
def test_whether_the_kernel_takes_modules(tmp_path: Path, files: dict[str, str], loadable: bool) -> None:
    assert _read(tmp_path, files).loadable is loadable


def test_the_live_machine_has_a_state_for_every_module() -> None:
    host = Host()
    facts = read_modules(host, read_kernel(host, ()))
    assert set(facts.modules) == set(MODULES)
    for name, module in facts.modules.items():
        if Path("/sys/module", name).is_dir():
            assert module.state in (ModuleState.LOADED, ModuleState.BUILT_IN)
