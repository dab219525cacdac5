"""Real sources for slow tests, repacked as their projects publish them, from what the distribution offers.

Debian's own source of QEMU and its packaged kernel source stand in for the
tarballs of qemu.org and kernel.org, which test machines need not reach. Both are
made once and kept in a folder that is always safe to delete.
"""

import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.machine.scratch import locked
from tests.mirror.layout import pack

KERNEL_PACKAGE = re.compile(r"^linux-source-(\d+\.\d+)$", re.MULTILINE)
AS_THIS_USER = ("-o", "APT::Sandbox::User=root")
"""apt's own user may not write to our folder."""
APT_SECONDS = 600
UNPACK_SECONDS = 300
TOOLS = ("apt-get", "apt-cache", "dpkg-deb", "dpkg-source", "xz", "tar")


class CannotBeHad(Exception):  # noqa: N818  -- it is why a test is skipped, not a fault
    """A source cannot be got here; the text says why."""


@dataclass(frozen=True)
class SourceTarball:
    """A release as its project would publish it."""

    version: str
    path: Path
    """Named `linux-VERSION.tar.xz` or `qemu-VERSION.tar.xz`, with one folder of that name in it."""


def kernel_tarball() -> SourceTarball:
    """The distribution's linux-source; the test is skipped, with the reason, where it cannot be had."""
    return _or_skip("linux")


def qemu_tarball() -> SourceTarball:
    """The distribution's QEMU source, patched as it is there; skips as `kernel_tarball` does.

    It comes without firmware: what is built of it needs Debian's packages
    seabios and qemu-system-data.
    """
    return _or_skip("qemu")


def distribution_configuration() -> bytes:
    """The .config of the distribution's own kernel of that version, by its package. Raises CannotBeHad."""
    line = ".".join(source_tarball("linux").version.split(".")[:2])
    with tempfile.TemporaryDirectory(dir=kept_folder()) as folder:
        work = Path(folder)
        _run(["apt-get", "-qq", *AS_THIS_USER, "download", f"linux-config-{line}"], work)
        (package,) = work.glob("*.deb")
        _run(["dpkg-deb", "--extract", package.name, "package"], work)
        architecture = _run(["dpkg", "--print-architecture"], work).strip()
        (packed,) = work.glob(f"package/usr/src/*/config.{architecture}_none_{architecture}.xz")
        return lzma.decompress(packed.read_bytes())


def unpacked(source: SourceTarball, folder: Path) -> Path:
    """The tarball's tree, unpacked anew below `folder`."""
    argv = ["tar", "--extract", "--file", str(source.path), "--directory", str(folder)]
    subprocess.run(argv, check=True, timeout=UNPACK_SECONDS)
    return folder / source.path.name.removesuffix(".tar.xz")


def _or_skip(project: str) -> SourceTarball:
    try:
        return source_tarball(project)
    except CannotBeHad as reason:
        pytest.skip(f"no source of {project} to test with: {reason}")


@cache
def source_tarball(project: str) -> SourceTarball:
    """As `kernel_tarball` and `qemu_tarball`, for what is no test. Raises CannotBeHad."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise CannotBeHad(f"this machine lacks {', '.join(missing)}")
    folder = kept_folder()
    with locked(folder / f"{project}.lock"):
        return _kept(folder, project) or _made(folder, project)


def kept_folder() -> Path:
    """The folder, this user's alone. Raises CannotBeHad."""
    folder = Path(tempfile.gettempdir(), f"kvmwizard-test-sources-{os.geteuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid():
        raise CannotBeHad(f"{folder} belongs to somebody else")
    return folder


def _kept(folder: Path, project: str) -> SourceTarball | None:
    for path in folder.glob(f"{project}-*.tar.xz"):
        return SourceTarball(path.name.removeprefix(f"{project}-").removesuffix(".tar.xz"), path)
    return None


def _made(folder: Path, project: str) -> SourceTarball:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        tree = _linux_tree(Path(work)) if project == "linux" else _qemu_tree(Path(work))
        version = _linux_version(tree) if project == "linux" else (tree / "VERSION").read_text().strip()
        name = f"{project}-{version}"
        made = Path(work, f"{name}.tar.xz")
        pack(tree, name, made)
        return SourceTarball(version, made.rename(folder / made.name))


def _linux_tree(work: Path) -> Path:
    """The oldest that is offered: it has the least to compile. Downloaded where it is not in /usr/src."""
    packages = KERNEL_PACKAGE.findall(_run(["apt-cache", "pkgnames", "linux-source-"], work))
    if not packages:
        raise CannotBeHad("apt offers no package linux-source-X.Y")
    line = min(packages, key=lambda each: tuple(map(int, each.split("."))))
    tarball = Path(f"/usr/src/linux-source-{line}.tar.xz")
    if not tarball.is_file():
        _run(["apt-get", "-qq", *AS_THIS_USER, "download", f"linux-source-{line}"], work)
        (package,) = work.glob("*.deb")
        _run(["dpkg-deb", "--extract", package.name, "package"], work)
        tarball = work / "package/usr/src" / tarball.name
    _run(["tar", "--extract", "--file", str(tarball)], work)
    return work / f"linux-source-{line}"


def _linux_version(tree: Path) -> str:
    makefile = (tree / "Makefile").read_text()
    numbers = re.findall(r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", makefile, re.MULTILINE)
    return ".".join(numbers if numbers[2] != "0" else numbers[:2])


def _qemu_tree(work: Path) -> Path:
    """The newest version that the mirror really has: its index may be ahead of its pool."""
    options = _options_for_sources(work)
    _run(["apt-get", "-qq", *options, "update"], work)
    shown = _run(["apt-cache", *options, "showsrc", "qemu"], work)
    versions = list(dict.fromkeys(re.findall(r"^Version: (\S+)$", shown, re.MULTILINE)))
    if not any(_downloads(version, options, work) for version in versions):
        raise CannotBeHad(f"apt has none of the sources of qemu: {', '.join(versions) or 'no version'}")
    (description,) = work.glob("qemu_*.dsc")
    _run(["dpkg-source", "--no-check", "--extract", description.name, "qemu"], work)
    return work / "qemu"


def _downloads(version: str, options: Sequence[str], work: Path) -> bool:
    try:
        _run(["apt-get", "-qq", *options, "source", "--download-only", f"qemu={version}"], work)
    except CannotBeHad:
        return False
    return True


def _options_for_sources(work: Path) -> tuple[str, ...]:
    """The machine's sources of packages as sources of source packages, in a folder of our own."""
    own = work / "apt"
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (own / name).mkdir(parents=True)
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        if path.is_file() and path.suffix in {".list", ".sources"}:
            text = path.read_text(encoding="utf-8")
            text = re.sub(r"^deb ", "deb-src ", text, flags=re.MULTILINE)
            text = re.sub(r"^Types:.*$", "Types: deb-src", text, flags=re.MULTILINE)
            (own / "parts" / path.name).write_text(text, encoding="utf-8")
    settings = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": str(own / "parts"),
        "Dir::State::Lists": str(own / "lists"),
        "Dir::Cache": str(own / "cache"),
        "Acquire::Retries": "3",
    }
    return (*AS_THIS_USER, *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")))


def _run(argv: Sequence[str], directory: Path) -> str:
    result = subprocess.run(
        argv, cwd=directory, check=False, capture_output=True, text=True, timeout=APT_SECONDS
    )
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["no word"])[-1]
        raise CannotBeHad(f"{' '.join(argv[:1])} failed: {last}")
    return result.stdout
