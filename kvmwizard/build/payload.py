"""Packs a staged tree into the one file from which the root helper installs it.

The file begins with its head: one line of JSON, ended by a newline, that lists
every file as [path, mode, size, SHA-256], sorted by path. The contents follow in
the same order, nothing between them and nothing behind the last. The SHA-256 of
the head, its newline included, thus stands for every byte: it is what the runner
journals when the tree is staged, and what root insists on when it reads the file,
once, from its beginning to its end (`run.root_helper`).

There are regular files and nothing else: what a link would lead to is not for
root to find out.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kvmwizard.paths import UNFINISHED_SUFFIX, remove_unfinished, sync_directory
from kvmwizard.plan.spans import size_words
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say, say_many

LARGEST_HEAD_BYTES = 4 * 1024 * 1024
"""A distribution's kernel of some 4,300 modules needs less than one of them."""
NAME = r"[A-Za-z0-9._+@%=~,:][A-Za-z0-9._+@%=~,:-]*"
"""What every folder and file may be called; `.` and `..` beside that are refused."""
PATH = re.compile(rf"(?!(?:.*/)?\.\.?(?:/|\Z)){NAME}(?:/{NAME})*")
READ_BYTES = 1024 * 1024

_NO_HASH = "0" * hashlib.sha256().digest_size * 2


class PayloadRefused(Refusal):
    """The staged tree holds something that is not installed."""


@dataclass(frozen=True)
class Payload:
    """What was packed."""

    digest: str
    """SHA-256 of the head: goes into the stage step's stamp as `about["digest"]`."""
    files: int
    bytes: int
    """Of all contents."""

    @property
    def words(self) -> Words:
        """How much it is."""
        return say_many(
            "{count} file to install, {size}",
            "{count} files to install, {size}",
            self.files,
            size=size_words(self.bytes),
        )


@dataclass
class _Entry:
    path: str
    mode: int
    size: int
    sha256: str = _NO_HASH


def write_payload(stage: Path, payload: Path) -> Payload:
    """Pack every file below `stage` into `payload`; under that name it is whole or not there.

    Files that their owner may execute get mode 0755, all others 0644, whatever the
    builder's umask was. Empty folders are left out.

    Args:
        stage: the tree as it is to be below `/` (a kernel), or below `/` with the prefix's path (QEMU).
        payload: the file to write, mode 0600.

    Raises:
        PayloadRefused: a link, device or other special file; a name with anything but letters,
            digits and `._+@%=~,:-`; no file at all, or more than a head may list; a file that
            changed meanwhile.
        OSError: it cannot be read or written.
    """
    entries = sorted(_entries(stage), key=lambda entry: entry.path)
    room = len(_head(entries))
    if not entries or room > LARGEST_HEAD_BYTES:
        raise PayloadRefused(
            say(
                "{folder} has {count} files, and a tree that root installs has at least one and a list of "
                "them of at most {bytes} bytes. Build it anew.",
                folder=str(stage),
                count=len(entries),
                bytes=LARGEST_HEAD_BYTES,
            )
        )
    remove_unfinished(payload)
    unfinished = payload.with_name(f".{payload.name}.{os.urandom(8).hex()}{UNFINISHED_SUFFIX}")
    try:
        with unfinished.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            # The hashes are known only afterwards, but not how long they are.
            file.seek(room)
            for entry in entries:
                entry.sha256 = _append(stage, entry, file)
            head = _head(entries)
            file.seek(0)
            file.write(head)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(payload)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(payload.parent)
    return Payload(
        digest=hashlib.sha256(head).hexdigest(),
        files=len(entries),
        bytes=sum(entry.size for entry in entries),
    )


def _head(entries: list[_Entry]) -> bytes:
    lines = [[entry.path, entry.mode, entry.size, entry.sha256] for entry in entries]
    return json.dumps(lines, separators=(",", ":")).encode("ascii") + b"\n"


def _entries(stage: Path) -> Iterator[_Entry]:
    def fail(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(stage, onerror=fail):
        for name in (*folders, *names):
            found = Path(folder, name)
            path = found.relative_to(stage).as_posix()
            status = found.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode) or PATH.fullmatch(path) is None:
                raise PayloadRefused(
                    say(
                        "The staged tree holds {path}, which is not a plain file with a plain name, so it "
                        "is not installed. Remove it or build anew, then retry.",
                        path=str(found),
                    )
                )
            yield _Entry(path, 0o755 if status.st_mode & stat.S_IXUSR else 0o644, status.st_size)


def _append(stage: Path, entry: _Entry, file: IO[bytes]) -> str:
    """Append the file's content; its SHA-256."""
    digest, left = hashlib.sha256(), entry.size
    descriptor = os.open(stage / entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as source:
        while left > 0 and (content := source.read(min(left, READ_BYTES))):
            digest.update(content)
            file.write(content)
            left -= len(content)
        if left > 0 or source.read(1):
            raise PayloadRefused(
                say(
                    "{path} changed while it was packed. Let nothing else work in that folder, then retry.",
                    path=str(stage / entry.path),
                )
            )
    return digest.hexdigest()
