"""Which version a person's own source tree or tarball is."""

import lzma
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kvmwizard.catalog.sources import PROJECT_NAMES, Project
from kvmwizard.catalog.version import parse_version
from kvmwizard.words import Words, say

LARGEST_FILE_BYTES = 1024 * 1024
"""The kernel's Makefile is the largest that is looked at, with some 70 KB."""

MOST_MEMBERS = 200_000
"""Linux 6.12 has 90,000 files; a tarball with more than that many is not read to its end."""

LARGEST_ARCHIVE_BYTES = 8 * 1024 * 1024 * 1024
"""Of what a tarball holds, unpacked; a bomb is not read to its end."""

MAKEFILE_NUMBER = r"^{name}[ \t]*=[ \t]*(?P<value>[^\s#]*)"
OWN_VERSIONS = re.compile(
    r"(?P<project>linux|qemu)-(?P<version>[0-9][0-9a-z.-]*)\.tar\.(?:xz|gz|bz2)", re.ASCII
)
"""What the projects call their tarballs."""

TREE_FILES = ("Makefile", "VERSION", "configure", "qemu-options.hx")

Read = Callable[[str], str | None]
"""The content of one of TREE_FILES; None where the tree has none."""


@dataclass(frozen=True)
class LocalSource:
    """A source of the person's, and what it says it is."""

    project: Project
    version: str
    path: str
    form: Literal["tree", "tarball"]


def read_source(path: str) -> LocalSource | Words:
    """The version of a source tree or a tarball, or why it is neither.

    A tarball whose name does not tell is read up to the file that does, which can
    take seconds; nothing is unpacked.
    """
    place = Path(path)
    try:
        if not place.is_absolute():
            return say("{path} is not a path that begins with /. Give the whole path.", path=path)
        if place.is_dir():
            return _as_source(path, "tree", _of_tree(lambda name: _read_file(place / name)))
        if not place.is_file():
            return say(
                "There is no {path}. Give the path of a source tree or of a tarball that is here.", path=path
            )
        return _as_source(path, "tarball", _by_name(place.name) or _of_tree(_reader_of(place)))
    except OSError as error:
        return say("{path} cannot be read: {error}.", path=path, error=error.strerror or str(error))
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError):
        return say(
            "{path} is not a whole tarball packed with xz, gzip or bzip2. Give another one, or the "
            "folder that it was unpacked into.",
            path=path,
        )


def _as_source(
    path: str, form: Literal["tree", "tarball"], said: tuple[Project, str] | Words | None
) -> LocalSource | Words:
    if said is None:
        return say(
            "{path} holds the source of neither Linux nor QEMU: it has no Makefile with VERSION and "
            "PATCHLEVEL, and no file VERSION beside qemu-options.hx.",
            path=path,
        )
    if isinstance(said, Words):
        return said
    project, version = said
    return LocalSource(project=project, version=version, path=path, form=form)


def _by_name(name: str) -> tuple[Project, str] | None:
    """What the projects' own names of tarballs tell."""
    found = OWN_VERSIONS.fullmatch(name)
    if found is None or parse_version(found["version"]) is None:
        return None
    return ("linux" if found["project"] == "linux" else "qemu"), found["version"]


def _of_tree(read: Read) -> tuple[Project, str] | Words | None:
    makefile = read("Makefile")
    if makefile is not None and _number(makefile, "PATCHLEVEL") is not None:
        return _kernel_version(makefile)
    version = read("VERSION")
    if version is None or read("qemu-options.hx") is None:
        return None
    return _checked("qemu", version.strip())


def _kernel_version(makefile: str) -> tuple[Project, str] | Words | None:
    """As the kernel's Makefile makes KERNELVERSION, but X.Y for X.Y.0, as releases are called."""
    numbers = [_number(makefile, name) for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    extra = _number(makefile, "EXTRAVERSION") or ""
    told = [number for number in numbers if number]
    if len(told) > len(("VERSION", "PATCHLEVEL")) and told[-1] == "0" and not extra.startswith("."):
        told = told[:-1]
    plain = ".".join(told)
    if extra and re.fullmatch(r"-rc[0-9]{1,3}|\.[0-9]{1,4}", extra, re.ASCII) is None:
        return say(
            "The Makefile of this source calls itself {version}{extra}, which is no release. Empty "
            "EXTRAVERSION in it; a suffix of your own belongs on the page of the kernel's build.",
            version=plain,
            extra=extra,
        )
    return _checked("linux", f"{plain}{extra}")


def _checked(project: Project, version: str) -> tuple[Project, str] | Words:
    if parse_version(version) is None:
        return say(
            "This source of {project} says that its version is {version}, which is none.",
            project=PROJECT_NAMES[project],
            version=repr(version[:40]),
        )
    return project, version


def _number(makefile: str, name: str) -> str | None:
    found = re.search(MAKEFILE_NUMBER.format(name=name), makefile, re.MULTILINE | re.ASCII)
    return None if found is None else found["value"]


def _read_file(path: Path) -> str | None:
    # A pipe or a device would be waited for without end.
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(LARGEST_FILE_BYTES).decode("utf-8", "replace")


def _reader_of(tarball: Path) -> Read:
    """The wanted files at the top of a tarball, read in one pass that ends as soon as they tell enough."""
    found = _top_files(tarball)
    return found.get


def _top_files(tarball: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    top: list[str] | None = None
    size = 0
    with tarfile.open(tarball, mode="r|*") as archive:
        for count, member in enumerate(archive):
            size += member.size
            if count > MOST_MEMBERS or size > LARGEST_ARCHIVE_BYTES:
                break
            parts = [part for part in member.name.split("/") if part not in {"", "."}]
            if top is None:
                top = parts[:1] if member.isdir() or len(parts) > 1 else []
            elif top and parts[:1] != top:
                # Not all lies in one folder, so what was found lay in one of several.
                top = []
                found.clear()
            if not parts or parts[:-1] != top or parts[-1] not in TREE_FILES or not member.isreg():
                continue
            file = archive.extractfile(member)
            found[parts[-1]] = (
                "" if file is None else file.read(LARGEST_FILE_BYTES).decode("utf-8", "replace")
            )
            if _tells_enough(found):
                break
    return found


def _tells_enough(found: dict[str, str]) -> bool:
    of_kernel = _number(found.get("Makefile", ""), "PATCHLEVEL") is not None
    return of_kernel or {"VERSION", "qemu-options.hx"} <= found.keys()
