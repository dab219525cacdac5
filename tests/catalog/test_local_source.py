"""What version a person's own source is, told by the source itself."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from kvmwizard.catalog.local_source import LocalSource, read_source
from kvmwizard.words import Words

MAKEFILE = """# SPDX-License-Identifier: GPL-2.0
VERSION = {0}
PATCHLEVEL = {1}
SUBLEVEL = {2}
EXTRAVERSION ={3}
NAME = Curry Ramen
"""
LINUX_SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")


def linux_tree(folder: Path, *numbers: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Makefile").write_text(MAKEFILE.format(*numbers))
    (folder / "Documentation").mkdir(exist_ok=True)
    (folder / "Documentation/Makefile").write_text("VERSION = 9\nPATCHLEVEL = 9\nSUBLEVEL = 9\n")
    return folder


def qemu_tree(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {
        "VERSION": version,
        "qemu-options.hx": "",
        "configure": "",
        "Makefile": "all:\n",
    }.items():
        (folder / name).write_text(content)
    return folder


def told(source: LocalSource | Words) -> tuple[str, str]:
    assert isinstance(source, LocalSource), source
    return source.project, source.version


def refusal(source: LocalSource | Words) -> str:
    assert isinstance(source, Words), source
    return source.english


@pytest.mark.parametrize(
    ("numbers", "version"),
    [
        ((6, 12, 104, ""), "6.12.104"),
        ((6, 12, 0, ""), "6.12"),
        ((7, 3, 0, " -rc2"), "7.3-rc2"),
        ((4, 8, 0, " -rc10 "), "4.8-rc10"),
        ((2, 6, 39, " .4"), "2.6.39.4"),
        ((6, 1, 192, " # none"), "6.1.192"),
    ],
)
def test_a_tree_of_linux_tells_by_its_makefile(
    tmp_path: Path, numbers: tuple[object, ...], version: str
) -> None:
    tree = linux_tree(tmp_path / "my $(tree)", *numbers)
    source = read_source(str(tree))
    assert told(source) == ("linux", version)
    assert isinstance(source, LocalSource)
    assert (source.form, source.path) == ("tree", str(tree))


@pytest.mark.parametrize("version", ["10.1.0", "2.6.90", "7.2.22"])
def test_a_tree_of_qemu_tells_by_its_file(tmp_path: Path, version: str) -> None:
    assert told(read_source(str(qemu_tree(tmp_path / "qemu", version + "\n")))) == ("qemu", version)


@pytest.mark.parametrize("suffix", ["xz", "gz", "bz2"])
def test_a_tarball_tells_by_its_name_or_by_what_is_in_it(tmp_path: Path, suffix: str) -> None:
    linux_tree(tmp_path / "linux-source-6.1", 6, 1, 192, "")
    qemu_tree(tmp_path / "checkout", "10.1.0")
    for folder, name, expected in (
        ("linux-source-6.1", f"linux-source-6.1.tar.{suffix}", ("linux", "6.1.192")),
        ("linux-source-6.1", f"linux-6.12.104.tar.{suffix}", ("linux", "6.12.104")),
        ("checkout", f"qemu_10.1+ds.orig.tar.{suffix}", ("qemu", "10.1.0")),
        ("checkout", f"qemu-10.1.0-rc1.tar.{suffix}", ("qemu", "10.1.0-rc1")),
    ):
        tarball = tmp_path / name
        subprocess.run(["/usr/bin/tar", "-C", str(tmp_path), "-caf", str(tarball), folder], check=True)
        source = read_source(str(tarball))
        assert told(source) == expected
        assert isinstance(source, LocalSource)
        assert source.form == "tarball"


def test_a_tarball_without_a_folder_of_its_own_tells_as_well(tmp_path: Path) -> None:
    tree = linux_tree(tmp_path / "tree", 6, 1, 192, "")
    tarball = tmp_path / "mine.tar.gz"
    subprocess.run(["/usr/bin/tar", "-C", str(tree), "-caf", str(tarball), "."], check=True)
    assert told(read_source(str(tarball))) == ("linux", "6.1.192")


@pytest.mark.skipif(not LINUX_SOURCE.exists(), reason="the package linux-source-6.1 is not installed")
def test_debians_own_tarball() -> None:
    project, version = told(read_source(str(LINUX_SOURCE)))
    assert project == "linux"
    assert version.startswith("6.1.")


def test_a_version_of_ones_own_is_refused_with_what_to_do(tmp_path: Path) -> None:
    said = refusal(read_source(str(linux_tree(tmp_path / "tree", 6, 12, 1, " -mine"))))
    assert "6.12.1-mine" in said
    assert "Empty EXTRAVERSION" in said


@pytest.mark.parametrize(
    "version", ["", "ten", "10.1.0; reboot", "10.1.0\n--help", "1" * 5000, "\x1b[31m"], ids=range(6)
)
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    said = refusal(read_source(str(qemu_tree(tmp_path / "qemu", version))))
    assert "which is none" in said
    assert said.isprintable()
    assert len(said) < 200


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar.xz").write_text("hello")
    (tmp_path / "nothing.tar.xz").touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own/Makefile").write_text("all:\n\ttrue\n")
    assert "neither Linux nor QEMU" in refusal(read_source(str(tmp_path / "empty")))
    assert "neither Linux nor QEMU" in refusal(read_source(str(tmp_path / "own")))
    assert "not a whole tarball" in refusal(read_source(str(tmp_path / "text.tar.xz")))
    assert "not a whole tarball" in refusal(read_source(str(tmp_path / "nothing.tar.xz")))
    assert "There is no" in refusal(read_source(str(tmp_path / "none")))
    assert "There is no" in refusal(read_source("/dev/zero"))
    assert "begins with /" in refusal(read_source("linux"))


def test_a_tarball_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    linux_tree(tmp_path / "tree", 6, 1, 192, "")
    (tmp_path / "tree/AAA").write_bytes(bytes(range(256)) * 4000)
    tarball = tmp_path / "cut.tar.gz"
    subprocess.run(
        ["/usr/bin/tar", "-C", str(tmp_path), "-caf", str(tarball), "--sort=name", "tree"], check=True
    )
    tarball.write_bytes(tarball.read_bytes()[:2000])
    assert "not a whole tarball" in refusal(read_source(str(tarball)))


def test_links_in_a_tarball_lead_nowhere(tmp_path: Path) -> None:
    secret = linux_tree(tmp_path / "secret", 6, 6, 6, "") / "Makefile"
    tarball = tmp_path / "hostile.tar"
    with tarfile.open(tarball, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("linux/Makefile")
            link.type, link.linkname = kind, str(secret)
            archive.addfile(link)
        climbing = tarfile.TarInfo("../../../linux/Makefile")
        content = b"VERSION = 6\nPATCHLEVEL = 6\nSUBLEVEL = 6\n"
        climbing.size = len(content)
        archive.addfile(climbing, io.BytesIO(content))
    assert "neither Linux nor QEMU" in refusal(read_source(str(tarball)))


def test_a_pipe_in_a_tree_is_not_waited_for(tmp_path: Path) -> None:
    subprocess.run(["/usr/bin/mkfifo", str(tmp_path / "Makefile"), str(tmp_path / "VERSION")], check=True)
    assert "neither Linux nor QEMU" in refusal(read_source(str(tmp_path)))
