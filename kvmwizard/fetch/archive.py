"""Compressed tarballs: which program unpacks one, how large it gets, and whether it is one at all."""

import os
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.fetch.chain import run_chain
from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.words import say


@dataclass(frozen=True)
class Compression:
    """One way of compressing."""

    suffixes: tuple[str, ...]
    magic: bytes
    """What a file of this kind begins with (file(1)'s magic)."""
    program: str
    ratio: float
    """How many times larger a source gets at most, where the file does not say: Linux 6.1 with xz got 9.8."""


COMPRESSIONS = (
    Compression((".tar.xz", ".txz"), b"\xfd7zXZ\0", "xz", 11.0),
    Compression((".tar.gz", ".tgz"), b"\x1f\x8b", "gzip", 7.0),
    Compression((".tar.bz2", ".tbz2", ".tbz"), b"BZh", "bzip2", 9.0),
)
XZ_SIZE_COLUMN = 4
BEGINNING_BYTES = 6
"""As long as the longest magic."""


def compression_of(name: str) -> Compression:
    """How the file of that name is compressed. Raises FetchRefused for another kind of name."""
    for compression in COMPRESSIONS:
        if name.endswith(compression.suffixes):
            return compression
    raise FetchRefused(
        say(
            "{name} is no tarball that can be unpacked here: its name must end in .tar.xz, .tar.gz or "
            ".tar.bz2.",
            name=name,
        )
    )


def begins_as_named(name: str, beginning: bytes) -> bool:
    """Whether a file that begins so may be what its name says."""
    return beginning.startswith(compression_of(name).magic)


def decompress_argv(name: str) -> list[str]:
    """The command that decompresses its standard input to its standard output."""
    compression = compression_of(name)
    # A file of many blocks, as some are, is unpacked by all processors; older xz ignore it.
    more = ["--threads=0"] if compression.program == "xz" else []
    return [compression.program, "--decompress", "--stdout", *more]


def unpacked_bytes(archive: Path) -> int:
    """How large the tar in it is: told by xz or gzip, else estimated. Raises FetchRefused, OSError."""
    compression = compression_of(archive.name)
    size = archive.stat().st_size
    estimate = int(size * compression.ratio)
    if compression.program == "xz":
        return _told_by_xz(archive) or estimate
    if compression.program == "gzip":
        return max(_told_by_gzip(archive), size)
    return estimate


def is_whole(archive: Path, name: str) -> bool:
    """Whether a file of that name decompresses to its end without a fault. Raises FetchRefused, OSError."""
    with archive.open("rb") as source:
        return run_chain([[compression_of(name).program, "--test"]], source).good


def _told_by_xz(archive: Path) -> int | None:
    """From the totals that `xz --robot --list` prints (xz(1))."""
    ended = run_chain([["xz", "--robot", "--list", "--", str(archive)]])
    for line in ended.output.decode(errors="replace").splitlines():
        columns = line.split("\t")
        if columns[0] == "totals" and len(columns) > XZ_SIZE_COLUMN and columns[XZ_SIZE_COLUMN].isdigit():
            return int(columns[XZ_SIZE_COLUMN])
    return None


def _told_by_gzip(archive: Path) -> int:
    """The last four bytes: the size modulo 2^32 (RFC 1952), and no source has 4 GB."""
    with archive.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")
