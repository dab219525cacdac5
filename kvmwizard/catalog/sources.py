"""Where the sources of Linux and QEMU come from, and whose signatures count (assets/sources.toml).

What a person gives takes the place of what the data file names: with a mirror of
theirs, no other server is asked for what that mirror should hold.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from kvmwizard.catalog.version import Version, parse_version
from kvmwizard.resources import asset_path

Project = Literal["linux", "qemu"]
PROJECT_NAMES: dict[Project, str] = {"linux": "Linux", "qemu": "QEMU"}
"""What people call them."""

Signed = Literal["checksums", "tarballs", "tags"]

ALL_SIGNED: tuple[Signed, ...] = ("checksums", "tarballs", "tags")
LAST_DIRECTORY_BY_TWO_NUMBERS = 2
"""kernel.org keeps Linux 2 and older in v2.6 and the like, and later ones in v3.x, v4.x and so on."""


WHOLE_SERVER = "/pub/linux/kernel"
"""Where kernel.org, and who mirrors all of it, has the releases."""


@dataclass(frozen=True)
class Key:
    """A public key whose signatures count."""

    fingerprint: str
    """40 hexadecimal digits in capitals."""
    file: str
    """A path below assets, as `keys/autosigner.asc`; for a person's own key, an absolute path."""
    owner: str
    signs: tuple[Signed, ...]


class Given(Protocol):
    """What a person may give in place of the data file's; `SourcesAnswer` is one, the options are another."""

    @property
    def kernel_mirror(self) -> str | None: ...  # noqa: D102  -- see `SourcesAnswer`
    @property
    def kernel_git(self) -> str | None: ...  # noqa: D102  -- as above
    @property
    def kernel_key(self) -> str | None: ...  # noqa: D102  -- as above
    @property
    def qemu_mirror(self) -> str | None: ...  # noqa: D102  -- as above
    @property
    def qemu_git(self) -> str | None: ...  # noqa: D102  -- as above
    @property
    def qemu_key(self) -> str | None: ...  # noqa: D102  -- as above


@dataclass(frozen=True)
class PackedAs:
    """How releases are packed from one version on."""

    since: Version
    suffix: str
    """As `tar.xz`."""


@dataclass(frozen=True)
class Sources:
    """Where one project's sources come from."""

    project: Project
    bases: tuple[str, ...]
    """Without a slash at the end; tried in order."""
    git: tuple[str, ...]
    """Repositories with the tags of all releases; tried in order."""
    releases: str | None
    """Address of a releases.json; None for QEMU, which has none."""
    candidates: str | None
    """Where Linux's candidates are, other than its releases; None: where the releases are."""
    keys: tuple[Key, ...]

    @property
    def checksum_keys(self) -> tuple[Key, ...]:
        """Those that sign lists of sums."""
        return self._keys_for("checksums")

    @property
    def tarball_keys(self) -> tuple[Key, ...]:
        """Those that sign tarballs."""
        return self._keys_for("tarballs")

    @property
    def tag_keys(self) -> tuple[Key, ...]:
        """Those that sign tags in git."""
        return self._keys_for("tags")

    def _keys_for(self, signed: Signed) -> tuple[Key, ...]:
        return tuple(key for key in self.keys if signed in key.signs)


def sources_for(project: Project, answer: Given | None) -> Sources:
    """The project's sources, with what the person gave in place of the data file's.

    Reads the person's key file, if there is one. Raises KeyRefused where that
    cannot be read or holds no public key.
    """
    table = _tables()[project]
    mirror, git, key_file = _given(project, answer)
    base = None if mirror is None else mirror.rstrip("/")
    return Sources(
        project=project,
        bases=tuple(table["bases"]) if base is None else (base,),
        git=tuple(table["git"]) if git is None else (git,),
        releases=_releases(table, base),
        candidates=table.get("candidates") if base is None else None,
        keys=(*_shipped_keys(project), *_own_keys(key_file)),
    )


def tarball_name(project: Project, version: Version) -> str:
    """What a release's file is called: `linux-6.12.104.tar.xz`."""
    if project == "linux" and version.candidate is not None:
        # cgit packs a candidate when it is asked for, with gzip alone.
        return f"linux-{version}.tar.gz"
    suffix = next(packed.suffix for packed in _formats(project) if version >= packed.since)
    return f"{project}-{version}.{suffix}"


def tarball_urls(sources: Sources, version: Version) -> tuple[str, ...]:
    """Where a release's tarball is, one address a mirror."""
    name = tarball_name(sources.project, version)
    if sources.project == "linux" and version.candidate is not None:
        if sources.candidates is not None:
            return (f"{sources.candidates}/{name}",)
        # Where kernel.org itself kept candidates as files, as long as it did.
        return _below_bases(sources, version, f"testing/{name}")
    return _below_bases(sources, version, name)


def checksum_urls(sources: Sources, version: Version) -> tuple[str, ...]:
    """Where the signed list of sums is that names the tarball; none for QEMU and for candidates."""
    if sources.project != "linux" or version.candidate is not None:
        return ()
    return _below_bases(sources, version, "sha256sums.asc")


def signature_urls(sources: Sources, version: Version) -> tuple[str, ...]:
    """Where the tarball's own signature is; none for candidates of Linux.

    Linux's is over the unpacked .tar, QEMU's over the file as it is.
    """
    if sources.project == "qemu":
        return _below_bases(sources, version, f"{tarball_name('qemu', version)}.sig")
    if version.candidate is not None:
        return ()
    return _below_bases(sources, version, f"linux-{version}.tar.sign")


def linux_directory(version: Version) -> str:
    """The directory of kernel.org that a version of Linux is in: `v6.x`, `v2.6`."""
    major = version.numbers[0]
    return f"v{major}.x" if major > LAST_DIRECTORY_BY_TWO_NUMBERS else f"v{major}.{version.numbers[1]}"


def _below_bases(sources: Sources, version: Version, name: str) -> tuple[str, ...]:
    below = f"{linux_directory(version)}/{name}" if sources.project == "linux" else name
    return tuple(f"{base}/{below}" for base in sources.bases)


def _given(project: Project, answer: Given | None) -> tuple[str | None, str | None, str | None]:
    if answer is None:
        return None, None, None
    if project == "linux":
        return answer.kernel_mirror, answer.kernel_git, answer.kernel_key
    return answer.qemu_mirror, answer.qemu_git, answer.qemu_key


def _releases(table: dict[str, Any], base: str | None) -> str | None:
    if "releases" not in table:
        return None
    if base is None:
        return str(table["releases"])
    # A mirror has no such file unless somebody put one there: at its top where all of the
    # server is mirrored, else beside the directories of releases.
    return f"{base.removesuffix(WHOLE_SERVER)}/releases.json"


def _own_keys(file: str | None) -> tuple[Key, ...]:
    if file is None:
        return ()
    from kvmwizard.catalog.public_key import read_fingerprints  # noqa: PLC0415  -- few give a key

    return tuple(
        Key(fingerprint=fingerprint, file=file, owner=file, signs=ALL_SIGNED)
        for fingerprint in read_fingerprints(Path(file))
    )


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(asset_path("sources.toml").read_text(encoding="utf-8"))


@cache
def _formats(project: Project) -> tuple[PackedAs, ...]:
    return tuple(
        PackedAs(since=_version(packed["since"]), suffix=packed["suffix"])
        for packed in _tables()[project]["formats"]
    )


@cache
def _shipped_keys(project: Project) -> tuple[Key, ...]:
    return tuple(
        Key(fingerprint=key["fingerprint"], file=key["file"], owner=key["owner"], signs=tuple(key["signs"]))
        for key in _tables()[project]["keys"]
    )


def _version(text: str) -> Version:
    version = parse_version(text)
    if version is None:
        raise ValueError(text)
    return version
