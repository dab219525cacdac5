"""What the actions of a plan ask of this package, without the plan's models: those need pydantic.

The fields mean what they mean in `kvmwizard.plan.build_model`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kvmwizard.resources import asset_path


@dataclass(frozen=True)
class Key:
    """A key whose signature counts."""

    fingerprint: str
    path: Path


@dataclass(frozen=True)
class ListedChecksum:
    """A signed list of SHA-256 sums names the file."""

    urls: tuple[str, ...]
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class DetachedSignature:
    """A signature in a file of its own."""

    urls: tuple[str, ...]
    over: Literal["file", "uncompressed"]
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class PublishedChecksum:
    """The file's SHA-256 is known beforehand."""

    sha256: str


Proof = ListedChecksum | DetachedSignature | PublishedChecksum


@dataclass(frozen=True)
class DownloadWish:
    """A file to download and verify."""

    identity: str
    stamp: Path
    urls: tuple[str, ...]
    path: Path
    proofs: tuple[Proof, ...]
    unverified: bool


@dataclass(frozen=True)
class UnpackWish:
    """A tarball to unpack, or a tree to copy."""

    identity: str
    stamp: Path
    archive: Path
    tree: Path
    patches: tuple[Path, ...]


@dataclass(frozen=True)
class TagWish:
    """A tag to fetch, verify and check out."""

    identity: str
    stamp: Path
    urls: tuple[str, ...]
    tag: str
    repository: Path
    tree: Path
    keys: tuple[Key, ...]
    unverified: bool
    submodules: tuple[str, ...]
    patches: tuple[Path, ...]
    commit: str | None
    """What the tag is known to point to; it then proves the tag as well as a signature does."""


def download_wish(action: dict[str, Any]) -> DownloadWish:
    """The action `download-source`."""
    return DownloadWish(
        identity=action["identity"],
        stamp=Path(action["stamp"]),
        urls=tuple(action["urls"]),
        path=Path(action["path"]),
        proofs=tuple(_proof(proof) for proof in action["proofs"]),
        unverified=action.get("unverified", False),
    )


def unpack_wish(action: dict[str, Any]) -> UnpackWish:
    """The action `unpack-source`."""
    return UnpackWish(
        identity=action["identity"],
        stamp=Path(action["stamp"]),
        archive=Path(action["archive"]),
        tree=Path(action["tree"]),
        patches=_assets(action.get("patches", ())),
    )


def tag_wish(action: dict[str, Any]) -> TagWish:
    """The action `fetch-tag`."""
    return TagWish(
        identity=action["identity"],
        stamp=Path(action["stamp"]),
        urls=tuple(action["urls"]),
        tag=action["tag"],
        repository=Path(action["repository"]),
        tree=Path(action["tree"]),
        keys=_keys(action["keys"]),
        unverified=action.get("unverified", False),
        submodules=tuple(action.get("submodules", ())),
        patches=_assets(action.get("patches", ())),
        commit=action.get("commit"),
    )


def _proof(proof: dict[str, Any]) -> Proof:
    if proof["kind"] == "published-checksum":
        return PublishedChecksum(sha256=proof["sha256"])
    urls, keys = tuple(proof["urls"]), _keys(proof["keys"])
    if proof["kind"] == "listed-checksum":
        return ListedChecksum(urls=urls, keys=keys)
    return DetachedSignature(urls=urls, over=proof["over"], keys=keys)


def _keys(keys: list[dict[str, Any]]) -> tuple[Key, ...]:
    # An absolute path, as a person's own key has, stays as it is.
    return tuple(Key(fingerprint=key["fingerprint"], path=asset_path(key["file"])) for key in keys)


def _assets(names: list[str] | tuple[()]) -> tuple[Path, ...]:
    return tuple(asset_path(name) for name in names)
