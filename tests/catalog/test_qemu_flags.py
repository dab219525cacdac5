from posixpath import dirname

import pytest

from kvmwizard.answers import QemuBuildAnswer
from kvmwizard.catalog.qemu_flags import (
    build_targets,
    configure_flags,
    firmware_directories,
    install_prefix,
    programs,
    submodules,
    switched_off,
)


def test_the_machines_own_architecture_is_built_unless_others_are_chosen() -> None:
    assert build_targets(QemuBuildAnswer(), "x86_64") == ("x86_64-softmmu",)
    assert build_targets(QemuBuildAnswer(), "ppc64le") == ("ppc64-softmmu",)
    chosen = QemuBuildAnswer(targets=("aarch64-softmmu", "x86_64-softmmu"))
    assert build_targets(chosen, "x86_64") == ("aarch64-softmmu", "x86_64-softmmu")
    assert programs(build_targets(chosen, "x86_64")) == ("qemu-system-aarch64", "qemu-system-x86_64")


def test_two_versions_get_two_prefixes() -> None:
    assert install_prefix("7.2.22", QemuBuildAnswer()) == "/opt/kvmwizard/qemu-7.2.22"
    assert install_prefix("7.2.22", QemuBuildAnswer(prefix="/usr/local/qemu")) == "/usr/local/qemu"
    assert configure_flags("7.2.22", QemuBuildAnswer(), "x86_64")[0] == "--prefix=/opt/kvmwizard/qemu-7.2.22"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.7.0", ["--enable-vhost-net"]),
        ("3.1.1", ["--enable-vhost-net"]),
        ("4.0.0", ["--enable-vhost-kernel", "--enable-vhost-net"]),
        ("5.2.0-rc1", ["--enable-vhost-kernel", "--enable-vhost-net", "--enable-slirp"]),
        ("10.1.0", ["--enable-vhost-kernel", "--enable-vhost-net", "--enable-slirp"]),
    ],
)
def test_a_version_is_asked_for_what_it_knows(version: str, expected: list[str]) -> None:
    flags = configure_flags(version, QemuBuildAnswer(), "x86_64")
    assert [flag for flag in flags if "vhost" in flag or "slirp" in flag] == expected


def test_what_is_not_wanted_is_switched_off_in_every_version() -> None:
    answer = QemuBuildAnswer(kvm=False, vhost=False, slirp=False)
    old, new = configure_flags("2.7.0", answer, "x86_64"), configure_flags("8.2.0", answer, "x86_64")
    assert {"--disable-kvm", "--disable-vhost-net", "--disable-slirp", "--disable-docs"} <= {*old} & {*new}
    assert "--disable-vhost-kernel" in new
    assert "--disable-vhost-kernel" not in old


def test_libraries_are_switched_off_where_the_version_has_a_switch() -> None:
    assert "--disable-libssh2" in switched_off("2.7.0")
    assert "--disable-capstone" not in switched_off("2.10.2")
    assert "--disable-capstone" in switched_off("2.11.0")
    assert "--disable-bluez" not in switched_off("5.0.0")
    assert "--disable-libssh" in switched_off("10.0.0")


def test_the_persons_flags_come_last_and_so_win() -> None:
    flags = configure_flags("7.2.22", QemuBuildAnswer(flags=("--enable-gtk",)), "x86_64")
    assert flags[-1] == "--enable-gtk"
    assert flags.index("--disable-gtk") < flags.index("--enable-gtk")


def test_a_checkout_gets_the_submodules_of_its_version() -> None:
    assert submodules("2.7.0") == ()
    assert submodules("2.12.0") == ("ui/keycodemapdb",)
    assert {"meson", "slirp"} <= set(submodules("5.2.0"))
    assert "slirp" not in submodules("7.2.0")
    assert set(map(dirname, submodules("10.1.0"))) == {"subprojects"}


def test_firmware_of_the_source_goes_before_the_distributions() -> None:
    assert firmware_directories("/b/source")[0] == "/b/source/pc-bios"
    assert "/usr/share/seabios" in firmware_directories("/b/source")
