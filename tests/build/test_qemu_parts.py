"""What the worker that builds QEMUs decides, without building."""

import os
from pathlib import Path

import pytest

from kvmwizard.build import qemu_configure, qemu_tree
from kvmwizard.build.qemu_options import FlagRefused, chosen_flags, known_options
from kvmwizard.build.qemu_torn import remove_torn
from kvmwizard.build.qemu_tree import CONFIGURED, BuildRefused
from tests.build.qemu_trees import configure_action, make_tree

HELP = """
Usage: configure [options]
  --prefix=PREFIX          install in PREFIX [/usr/local]
  --disable-slirp          disable SLIRP userspace network connectivity

Optional features, enabled with --enable-FEATURE and
disabled with --disable-FEATURE, default is enabled if available:

  docs            build documentation
  --with-sdlabi     select preferred SDL ABI 1.2 or 2.0
  xen-pci-passthrough
"""
PARSER = """
  --enable-opengl) opengl="yes"
  ;;
  --enable-cocoa)
      cocoa="yes" ;
  ;;
  --bindir=*) bindir="$optarg"
    --enable-rdma | --disable-rdma) rdma=yes ;;
"""


def test_options_are_what_the_help_lists_and_what_the_scripts_take() -> None:
    known = known_options(HELP, [PARSER])
    assert {"--prefix", "--disable-slirp", "--enable-docs", "--disable-xen-pci-passthrough"} <= known
    assert {"--with-sdlabi", "--enable-opengl", "--enable-cocoa", "--bindir", "--enable-rdma"} <= known
    assert "--disable-rdma" in known
    assert not known & {"--enable-slirp", "--enable-Usage", "--disable-opengl", "--docs"}


def test_a_flag_nothing_is_like_is_refused_without_a_guess() -> None:
    with pytest.raises(FlagRefused) as refused:
        chosen_flags(["--zzz=1"], known_options(HELP, []))
    assert "nearest" not in str(refused.value)


def test_a_tree_without_firmware_uses_the_distributions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path)
    action, known = configure_action(tmp_path), frozenset({"--disable-install-blobs", "--firmwarepath"})
    assert qemu_configure._flags_for_tree(action, known) == ()
    (tree / "pc-bios/bios-256k.bin").unlink()
    installed = tmp_path / "firmware"
    monkeypatch.setattr(qemu_tree, "DISTRIBUTION_FIRMWARE", (str(installed),))
    with pytest.raises(BuildRefused, match="seabios"):
        qemu_configure._flags_for_tree(action, known)
    installed.mkdir()
    (installed / "bios-256k.bin").touch()
    flags = qemu_configure._flags_for_tree(action, known)
    assert flags[0] == "--disable-install-blobs"
    assert flags[1].startswith("--firmwarepath=")


def test_a_tarball_that_has_all_its_parts_downloads_none(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    action, known = configure_action(tmp_path), frozenset({"--disable-download"})
    assert qemu_configure._flags_for_tree(action, known) == ()
    (tree / "subprojects/keycodemapdb").mkdir(parents=True)
    (tree / "subprojects/keycodemapdb/meson.build").touch()
    assert qemu_configure._flags_for_tree(action, known) == ("--disable-download",)


def test_only_what_was_built_in_the_last_minute_may_be_torn(tmp_path: Path) -> None:
    times = {"config-host.mak": 1000, CONFIGURED: 1001, "old.o": 1500, "young.o": 1950, "newest.o": 2000}
    for name, seconds in times.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    assert [path.name for path in remove_torn(tmp_path)] == ["newest.o", "young.o"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config-host.mak", CONFIGURED, "old.o"]


def test_what_configure_left_just_now_stays(tmp_path: Path) -> None:
    for name in ("config-host.mak", CONFIGURED):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000, 1000))
    assert remove_torn(tmp_path) == []
