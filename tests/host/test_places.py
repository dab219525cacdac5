"""IOMMU, cgroups, memory, disk, distribution, QEMU, toolchain and security."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kvmwizard.host.cgroups import CgroupFacts, CgroupLayout, read_cgroups
from kvmwizard.host.distribution import parse_os_release, read_distribution
from kvmwizard.host.host import Host
from kvmwizard.host.iommu import read_iommu
from kvmwizard.host.kernel import read_kernel
from kvmwizard.host.memory import HugePagePool, read_disk, read_memory
from kvmwizard.host.parsing import version_number
from kvmwizard.host.qemu import read_qemu
from kvmwizard.host.reading import Unknown
from kvmwizard.host.security import SelinuxMode, read_security
from kvmwizard.host.toolchain import TOOLS, read_toolchain
from tests.host.trees import make_host

CGROUP2 = "35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
CGROUP1 = (
    "36 25 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "37 25 0:32 / /sys/fs/cgroup/memory rw shared:1 master:2 - cgroup cgroup rw,memory\n"
    "38 25 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)


def _cgroups(root: Path, files: dict[str, str]) -> CgroupFacts:
    host = make_host(root, files)
    return read_cgroups(host, read_kernel(host, ()))


def test_cgroups_of_version_2_by_their_old_names(tmp_path: Path) -> None:
    facts = _cgroups(
        tmp_path,
        {"/proc/self/mountinfo": CGROUP2, "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory\n"},
    )
    assert facts.layout is CgroupLayout.V2
    assert facts.controllers == ("blkio", "cpu", "cpuacct", "cpuset", "memory")


def test_devices_of_version_2_are_a_matter_of_the_configuration(tmp_path: Path) -> None:
    facts = _cgroups(
        tmp_path,
        {
            "/proc/self/mountinfo": CGROUP2,
            "/sys/fs/cgroup/cgroup.controllers": "cpu\n",
            "/proc/sys/kernel/osrelease": "6.1\n",
            "/boot/config-6.1": "#\nCONFIG_CGROUP_BPF=y\n",
        },
    )
    assert facts.controllers == ("cpu", "cpuacct", "devices")


def test_cgroups_of_version_1(tmp_path: Path) -> None:
    facts = _cgroups(tmp_path, {"/proc/self/mountinfo": CGROUP1})
    assert facts.layout is CgroupLayout.V1
    assert facts.controllers == ("cpu", "cpuacct", "memory")


def test_cgroups_of_both_versions_and_of_none(tmp_path: Path) -> None:
    both = _cgroups(tmp_path / "both", {"/proc/self/mountinfo": CGROUP1 + CGROUP2})
    none = _cgroups(tmp_path / "none", {"/proc/self/mountinfo": "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n"})
    assert both.layout is CgroupLayout.HYBRID
    assert none == CgroupFacts(layout=CgroupLayout.NONE, controllers=())
    assert isinstance(_cgroups(tmp_path / "unknown", {}).layout, Unknown)


def test_iommu_words_of_the_command_line(tmp_path: Path) -> None:
    host = make_host(
        tmp_path,
        {"/proc/cmdline": "root=LABEL=iommu intel_iommu=on iommu=pt amd_iommu=off vfio_iommu_type1.x=1\n"},
    )
    facts = read_iommu(host, read_kernel(host, ()))
    assert facts.parameters == ("intel_iommu=on", "iommu=pt", "amd_iommu=off", "vfio_iommu_type1.x=1")
    assert isinstance(facts.groups, Unknown)
    assert isinstance(facts.tables, Unknown)


def test_memory_in_bytes(tmp_path: Path) -> None:
    pages = "/sys/kernel/mm/hugepages"
    memory = read_memory(
        make_host(
            tmp_path,
            {
                "/proc/meminfo": "MemTotal:       16384 kB\nMemAvailable:   8192 kB\nSwapTotal: lots\n",
                f"{pages}/hugepages-1048576kB/nr_hugepages": "1\n",
                f"{pages}/hugepages-1048576kB/free_hugepages": "0\n",
                f"{pages}/hugepages-2048kB/nr_hugepages": "8\n",
                f"{pages}/hugepages-2048kB/free_hugepages": "4\n",
                "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
                "/sys/kernel/mm/ksm/run": "2\n",
            },
        )
    )
    assert (memory.total, memory.available) == (16 * 1024 * 1024, 8 * 1024 * 1024)
    assert isinstance(memory.swap, Unknown)
    assert memory.huge_pages == (
        HugePagePool(kilobytes=2048, total=8, free=4),
        HugePagePool(kilobytes=1048576, total=1, free=0),
    )
    assert memory.transparent_huge_pages == "madvise"
    assert memory.same_page_merging is False


def test_free_space_of_a_directory_that_does_not_exist_yet(tmp_path: Path) -> None:
    disk = read_disk(Host(), tmp_path / "not" / "yet" / "there")
    found = os.statvfs(tmp_path)
    assert isinstance(disk.build_free, int)
    assert abs(disk.build_free - found.f_bavail * found.f_frsize) < 1 << 30
    assert disk.build_directory == str(tmp_path / "not" / "yet" / "there")


def test_free_space_below_a_file_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert isinstance(read_disk(Host(), tmp_path / "file" / "below").build_free, Unknown)


def test_os_release_quotes() -> None:
    text = """
ID=debian
NAME='Quoted "twice"'
PRETTY_NAME="A \\"B\\" \\$C"
# ID=other
VERSION_ID=
bad line
"""
    assert parse_os_release(text) == {
        "ID": "debian",
        "NAME": 'Quoted "twice"',
        "PRETTY_NAME": 'A "B" $C',
        "VERSION_ID": "",
    }


@pytest.mark.parametrize(
    ("os_release", "programs", "manager"),
    [
        ("ID=debian\n", ("/usr/bin/apt-get", "/usr/bin/dnf"), "apt"),
        ("ID=opensuse-leap\nID_LIKE='suse opensuse'\n", ("/usr/bin/dnf", "/usr/bin/zypper"), "zypper"),
        ("ID=fedora\n", ("/usr/bin/apt-get", "/usr/bin/dnf"), "dnf"),
        ("ID=rhel\nID_LIKE=fedora\n", ("/usr/bin/yum",), "yum"),
        ("ID=arch\n", ("/usr/bin/pacman",), "pacman"),
        ("ID=alpine\n", ("/sbin/apk",), "apk"),
        ("ID=nixos\n", (), None),
    ],
)
def test_the_package_manager_is_the_familys_own(
    tmp_path: Path, os_release: str, programs: tuple[str, ...], manager: str | None
) -> None:
    host = make_host(tmp_path, {"/etc/os-release": os_release}, programs=programs)
    assert read_distribution(host).package_manager == manager


@pytest.mark.parametrize(
    ("files", "programs", "loader"),
    [
        ({"/boot/grub/grub.cfg": ""}, (), "grub"),
        (
            {"/boot/grub2/grub.cfg": "", "/boot/loader/entries/a.conf": ""},
            ("/usr/sbin/grubby",),
            "grubby-bls",
        ),
        ({"/boot/grub2/grub.cfg": ""}, ("/usr/sbin/grubby",), "grub"),
        ({"/boot/loader/loader.conf": ""}, (), "systemd-boot"),
        ({"/etc/zipl.conf": "", "/boot/grub/grub.cfg": ""}, (), "zipl"),
        ({"/boot/extlinux/extlinux.conf": ""}, (), "extlinux"),
        ({}, (), "none"),
    ],
)
def test_boot_loaders(tmp_path: Path, files: dict[str, str], programs: tuple[str, ...], loader: str) -> None:
    assert read_distribution(make_host(tmp_path, files, programs=programs)).boot_loader == loader


def test_systemd_boot_says_so_itself(tmp_path: Path) -> None:
    variable = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    content = b"\x06\0\0\0" + "systemd-boot 252".encode("utf-16-le")
    host = make_host(tmp_path, {variable: content, "/boot/grub/grub.cfg": ""})
    assert read_distribution(host).boot_loader == "systemd-boot"


def test_every_emulator_once_under_the_name_that_says_most(tmp_path: Path) -> None:
    host = make_host(
        tmp_path,
        {"/usr/bin/qemu-system-notes.txt": ""},
        links={
            "/usr/bin/qemu-kvm": "qemu-system-x86_64",
            "/bin": "usr/bin",
            "/usr/libexec/qemu-kvm": "/usr/bin/qemu-kvm",
        },
        programs=("/usr/bin/qemu-system-x86_64", "/opt/qemu-10/bin/qemu-system-aarch64", "/usr/bin/qemu-img"),
        commands={"/usr/bin/qemu-system-x86_64 --version": "QEMU emulator version 10.1.0 (v10.1.0)\n"},
    )
    facts = read_qemu(host, "x86_64")
    assert isinstance(facts.binaries, tuple)
    assert [(each.path, each.architecture) for each in facts.binaries] == [
        ("/opt/qemu-10/bin/qemu-system-aarch64", "aarch64"),
        ("/usr/bin/qemu-system-x86_64", "x86_64"),
    ]
    assert isinstance(facts.binaries[0].version, Unknown)
    assert facts.binaries[1].version == "10.1.0"
    assert facts.image_tool == "/usr/bin/qemu-img"


def test_an_emulator_in_the_live_search_path_is_really_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text("#!/bin/sh\necho 'QEMU emulator version 2.7.0, Copyright (c) 2003-2016'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"relative:{tmp_path}")
    facts = read_qemu(Host(), "x86_64")
    assert isinstance(facts.binaries, tuple)
    assert [each.version for each in facts.binaries if each.path == str(program)] == ["2.7.0"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to lend")
@pytest.mark.parametrize(
    ("owner", "mode", "asked"), [(0, 0o755, True), (65534, 0o755, False), (0, 0o757, False)]
)
def test_root_does_not_run_an_emulator_that_another_account_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, asked: bool
) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho QEMU emulator version 2.7.0\n")
    program.chmod(mode)
    os.chown(program, owner, -1)
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = read_qemu(Host(), "x86_64")
    assert isinstance(facts.binaries, tuple)
    (version,) = [each.version for each in facts.binaries if each.path == str(program)]
    assert (version == "2.7.0") is asked
    assert (tmp_path / "ran").exists() is asked


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ("gcc (GCC) 4.8.5 20150623 (Red Hat 4.8.5-11)", "4.8.5"),
        ("GNU ld (GNU Binutils for Debian) 2.40", "2.40"),
        ("GNU ld version 2.27-44.base.el7", "2.27"),
        ("GNU Make 4.3\nBuilt for x86_64", "4.3"),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", "7.2.22"),
        ("QEMU PC emulator version 0.12.1 (qemu-kvm-0.12.1.2), Copyright", "0.12.1"),
        ("1.11.1", "1.11.1"),
        ("(4.2)", "4.2"),
        ("no number", None),
        ("", None),
    ],
)
def test_version_numbers(line: str, version: str | None) -> None:
    assert version_number(line) == version


def test_the_live_tools_are_where_they_are_said_to_be() -> None:
    tools = read_toolchain(Host()).tools
    assert set(tools) == set(TOOLS)
    search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for name in ("gcc", "make", "ld", "git", "perl"):
        tool = tools[name]
        assert tool.path == shutil.which(name, path=search)
        if tool.path:
            said = subprocess.run([tool.path, "--version"], capture_output=True, text=True, check=True).stdout
            assert isinstance(tool.version, str)
            assert tool.version in said.strip().split("\n")[0]


def test_the_live_libraries_are_what_their_own_tools_say() -> None:
    toolchain = read_toolchain(Host())
    said = {
        "glibc": ("getconf", "GNU_LIBC_VERSION"),
        "glib": ("pkg-config", "--modversion", "glib-2.0"),
        "openssl": ("pkg-config", "--modversion", "openssl"),
    }
    for name, command in said.items():
        if shutil.which(command[0]) is None:
            continue
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        version = answer.stdout.split()[-1] if answer.returncode == 0 else None
        assert getattr(toolchain, name) == version, name
    gcc = shutil.which("gcc")
    if gcc is not None:
        macros = subprocess.run(
            [gcc, "-dM", "-E", "-x", "c", "/dev/null"], capture_output=True, text=True, check=True
        ).stdout
        assert toolchain.default_pie is ("__PIE__" in macros)
        assert "gcc" in toolchain.compilers


@pytest.mark.parametrize(
    ("record", "version"),
    [
        ("/usr/lib/python3/dist-packages/meson-1.0.1.egg-info/PKG-INFO", "1.0.1"),
        ("/usr/lib/python3.13/site-packages/meson-1.7.2.dist-info/METADATA", "1.7.2"),
        ("/usr/lib/python3.6/site-packages/meson-0.58.2-py3.6.egg-info", "0.58.2"),
    ],
)
def test_meson_is_known_without_running_it(tmp_path: Path, record: str, version: str) -> None:
    host = make_host(tmp_path, {record: "", "/usr/bin/meson": ""})
    (tmp_path / "usr/bin/meson").chmod(0o755)
    assert read_toolchain(host).tools["meson"].version == version


def test_libraries_of_a_recorded_machine(tmp_path: Path) -> None:
    host = make_host(
        tmp_path,
        {
            "/usr/lib/aarch64-linux-gnu/pkgconfig/glib-2.0.pc": "prefix=/usr\nVersion: 2.66.8\n",
            "/usr/include/openssl/opensslv.h": '# define OPENSSL_VERSION_TEXT    "OpenSSL 1.1.1w"\n',
            "/usr/bin/gcc-11": "",
            "/usr/bin/gcc-ar-11": "",
            "/usr/bin/clang-14": "",
        },
    )
    toolchain = read_toolchain(host)
    assert (toolchain.glib, toolchain.openssl, toolchain.openssl_engine) == ("2.66.8", "1.1.1", False)
    assert toolchain.compilers == ("clang-14", "gcc-11")
    assert isinstance(toolchain.glibc, Unknown)
    assert toolchain.default_pie is None


@pytest.mark.parametrize(
    ("files", "mode"),
    [
        ({"/sys/fs/selinux/enforce": "1"}, SelinuxMode.ENFORCING),
        ({"/sys/fs/selinux/enforce": "0"}, SelinuxMode.PERMISSIVE),
        ({"/proc/filesystems": "nodev\tsysfs\n"}, SelinuxMode.DISABLED),
    ],
)
def test_selinux(tmp_path: Path, files: dict[str, str], mode: SelinuxMode) -> None:
    assert read_security(make_host(tmp_path, files)).selinux is mode


def test_selinux_that_is_there_but_not_mounted_is_unknown(tmp_path: Path) -> None:
    host = make_host(tmp_path, {"/proc/filesystems": "nodev\tselinuxfs\n"})
    assert isinstance(read_security(host).selinux, Unknown)
