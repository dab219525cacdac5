"""Unpacking as the builder: good tarballs whole, hostile ones refused or harmless."""

import errno
import os
import tarfile
import threading
from pathlib import Path

import pytest

from kvmwizard.fetch import unfinished
from kvmwizard.fetch.archive import unpacked_bytes
from kvmwizard.fetch.space import NoSpace, free_bytes, require_space
from kvmwizard.fetch.sweep import TreeRefused, remove_tree, sweep
from tests.fetch.tarballs import TOP, member, tarball
from tests.fetch.workers import Bench
from tests.mirror.layout import pack

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make such files, or another user's")


def test_a_good_tarball_becomes_the_tree(builder: Bench, small_tree: Path) -> None:
    archive = builder.folder / "linux-6.1.9.tar.xz"
    pack(small_tree, "linux-6.1.9", archive)
    archive.chmod(0o644)
    done = builder.unpack(archive)
    assert done.returncode == 0, done.log
    assert (
        builder.tree.joinpath("kernel/data").read_bytes() == small_tree.joinpath("kernel/data").read_bytes()
    )
    assert builder.tree.joinpath("kernel/link").readlink() == Path("../Makefile")
    assert builder.tree.stat().st_mode & 0o777 == 0o700
    stamp = builder.read_stamp()
    assert stamp is not None
    assert stamp.whole
    assert stamp.told["template"] == "{name} is unpacked"
    assert sorted(path.name for path in builder.tree.parent.iterdir()) == ["source", "source.stamp"]
    assert {line["unit"] for line in done.told if line["done"]} == {"bytes"}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2"])
def test_other_compressors_are_known(builder: Bench, small_tree: Path, suffix: str) -> None:
    archive = builder.folder / f"linux-6.1.9{suffix}"
    pack(small_tree, "linux-6.1.9", archive)
    archive.chmod(0o644)
    done = builder.unpack(archive)
    assert done.returncode == 0, done.log
    assert builder.tree.joinpath("Makefile").is_file()


def test_what_does_not_fit_is_not_begun(builder: Bench, small_tree: Path) -> None:
    with small_tree.joinpath("zeros").open("wb") as file:
        file.truncate(20_000_000)
    for suffix in (".tar.xz", ".tar.gz"):
        archive = builder.folder / f"linux-6.1.9{suffix}"
        pack(small_tree, "linux-6.1.9", archive)
        with pytest.raises(NoSpace, match="MB free at"):
            require_space(builder.folder, unpacked_bytes(archive) + free_bytes(builder.folder) - 10_000_000)


def refused(builder: Bench, archive: Path) -> str:
    """Why it is refused; nothing is left but the archive."""
    done = builder.unpack(archive)
    assert done.returncode == 1, done.log
    assert list(builder.tree.parent.iterdir()) == []
    assert builder.read_stamp() is None
    return done.refused


OUTSIDE = "/tmp/kvmwizard-must-not-be-written"
HOSTILE = {
    "dots": (member(f"{TOP}/../../{Path(OUTSIDE).name}"), "cannot be unpacked"),
    "another top folder": (member("other/file"), "holds no source tree"),
    "absolute": (member(OUTSIDE), "holds no source tree"),
    "link out": (member(f"{TOP}/out", tarfile.SYMTYPE, link="/etc"), "leads out of the source tree, to /etc"),
    "link up": (member(f"{TOP}/out", tarfile.SYMTYPE, link="../.."), "leads out of the source tree"),
    "pipe": (member(f"{TOP}/pipe", tarfile.FIFOTYPE), "is a device, a pipe or a socket"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tarball_is_refused_and_nothing_is_left(builder: Bench, name: str) -> None:
    entry, said = HOSTILE[name]
    archive = tarball(builder.folder / "linux-6.1.9.tar.xz", entry)
    assert said in refused(builder, archive)
    assert not Path(OUTSIDE).exists()


def test_a_device_is_refused(builder: Bench) -> None:
    memory = member(f"{TOP}/memory", tarfile.CHRTYPE)
    memory.devmajor, memory.devminor = 1, 1
    archive = tarball(builder.folder / "linux-6.1.9.tar.xz", memory)
    assert "cannot be unpacked" in refused(builder, archive)


def test_writing_through_a_link_of_its_own_reaches_nothing(builder: Bench) -> None:
    target = builder.folder / "precious"
    target.mkdir(mode=0o777)
    target.chmod(0o777)
    archive = tarball(
        builder.folder / "linux-6.1.9.tar.xz",
        member(f"{TOP}/out", tarfile.SYMTYPE, link=str(target)),
        member(f"{TOP}/out/file"),
    )
    assert refused(builder, archive)
    assert list(target.iterdir()) == []


def test_modes_that_lock_us_out_or_give_rights_away_are_not_kept(builder: Bench) -> None:
    archive = tarball(
        builder.folder / "linux-6.1.9.tar.xz",
        member(f"{TOP}/locked", tarfile.DIRTYPE, mode=0),
        member(f"{TOP}/setuid", mode=0o6777),
        member(f"{TOP}/open", mode=0o777),
    )
    done = builder.unpack(archive)
    assert done.returncode == 0, done.log
    assert builder.tree.joinpath("setuid").stat().st_mode & 0o7777 == 0o700
    assert builder.tree.joinpath("open").stat().st_mode & 0o7777 == 0o700
    assert builder.tree.joinpath("locked").stat().st_mode & 0o700 == 0o700


def test_half_a_tarball_is_refused(builder: Bench, small_tree: Path) -> None:
    archive = builder.folder / "linux-6.1.9.tar.xz"
    pack(small_tree, "linux-6.1.9", archive)
    archive.write_bytes(archive.read_bytes()[:-100_000])
    archive.chmod(0o644)
    assert "cannot be unpacked" in refused(builder, archive)


@as_root
def test_root_unpacks_nothing(builder: Bench, small_tree: Path) -> None:
    archive = builder.folder / "linux-6.1.9.tar.xz"
    pack(small_tree, "linux-6.1.9", archive)
    action = {"kind": "unpack-source", "archive": str(archive), "tree": str(builder.tree)}
    argv = builder.argv(action)
    place = argv.index("--as")
    done = builder.run([*argv[:place], *argv[place + 2 :]])
    assert "never unpacked or built as root" in done.refused
    assert not builder.tree.exists()


def test_a_tree_of_the_person_s_is_copied_and_left_as_it_is(builder: Bench) -> None:
    own = builder.folder / "-my $(own) linux\ntree"
    own.joinpath(".git").mkdir(parents=True)
    own.joinpath(".git", "config").write_text("[core]\n", encoding="ascii")
    own.joinpath("Makefile").write_text("VERSION = 6\n", encoding="ascii")
    for path in (own, own / ".git"):
        path.chmod(0o755)
    before = sorted(own.rglob("*"))
    done = builder.unpack(own)
    assert done.returncode == 0, done.log
    assert [path.name for path in builder.tree.iterdir()] == ["Makefile"]
    assert sorted(own.rglob("*")) == before


def test_a_newer_wish_takes_the_place_of_an_older_tree(builder: Bench) -> None:
    first = tarball(builder.folder / "linux-6.1.8.tar.xz", member(f"{TOP}/old"))
    second = tarball(builder.folder / "linux-6.1.9.tar.xz", member(f"{TOP}/new"))
    assert builder.unpack(first).returncode == 0
    assert builder.unpack(second, identity="2e" * 32).returncode == 0
    assert builder.tree.joinpath("new").is_file()
    assert not builder.tree.joinpath("old").exists()
    stamp = builder.read_stamp()
    assert stamp is not None
    assert stamp.identity == "2e" * 32


PATCH = """\
--- a/Makefile
+++ b/Makefile
@@ -1 +1 @@
-content of linux-6.1.9/Makefile
+patched
"""


def test_patches_are_applied_whole_or_not_at_all(builder: Bench) -> None:
    archive = tarball(builder.folder / "linux-6.1.9.tar.xz")
    good, bad = builder.folder / "good.patch", builder.folder / "bad.patch"
    good.write_text(PATCH, encoding="ascii")
    bad.write_text(PATCH.replace("content of", "nothing of"), encoding="ascii")
    for patch in (good, bad):
        patch.chmod(0o644)
    done = builder.unpack(archive, patches=[str(good), str(bad)])
    assert "The patch bad.patch does not fit this source" in done.refused
    assert not builder.tree.exists()
    assert builder.unpack(archive, patches=[str(good)]).returncode == 0
    assert builder.tree.joinpath("Makefile").read_text(encoding="ascii") == "patched\n"
    assert not list(builder.tree.glob("*.orig"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.joinpath("folder").mkdir(parents=True)
    made.joinpath("file").write_bytes(b"content")
    return made


@pytest.mark.parametrize(
    "target", ["../..", "/", "../../tree/file", "nowhere/../../../x", "../folder/../../tree/file"]
)
def test_links_that_leave_the_tree_are_found(tree: Path, target: str) -> None:
    tree.joinpath("folder", "link").symlink_to(target)
    with pytest.raises(TreeRefused, match="leads out of the source tree"):
        sweep(tree)


@pytest.mark.parametrize("target", ["../file", "nowhere", "link", ".", "..", "../folder/../file"])
def test_links_that_stay_in_the_tree_are_none_of_our_business(tree: Path, target: str) -> None:
    tree.joinpath("folder", "link").symlink_to(target)
    assert sweep(tree).entries == 3


def test_a_file_that_is_another_one_outside_is_found(tree: Path, tmp_path: Path) -> None:
    tree.joinpath("twin").hardlink_to(tree / "file")
    sweep(tree)
    tmp_path.joinpath("outside").hardlink_to(tree / "file")
    with pytest.raises(TreeRefused, match="the same file as another outside"):
        sweep(tree)


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_special_bits_are_found(tree: Path, mode: int) -> None:
    tree.joinpath("file").chmod(mode)
    with pytest.raises(TreeRefused, match="would run with the rights of its owner"):
        sweep(tree)


def test_a_tree_is_removed_whatever_its_modes_and_links(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.joinpath("precious").write_bytes(b"mine")
    tree.joinpath("folder", "link").symlink_to(outside)
    tree.joinpath("folder").chmod(0)
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()
    assert outside.joinpath("precious").read_bytes() == b"mine"


def test_a_disk_that_fails_while_files_are_flushed_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()

    def once(_: int) -> None:
        # As the kernel does: the failure is told once, and every later call succeeds.
        if not told.is_set():
            told.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(unfinished, "_flush", once)
    monkeypatch.setattr(unfinished, "FLUSH_SECONDS", 0.001)
    with pytest.raises(OSError, match="Input/output error"), unfinished.flushing(tmp_path):
        assert told.wait(60)
