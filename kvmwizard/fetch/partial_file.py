"""A file that is being downloaded: NAME.part, and beside it where its bytes come from.

Both outlast a kill, so that a later try goes on where this one ended. Nothing that lies
under such a name is ever taken for whole.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from kvmwizard.fetch.space import FULL, full_disk
from kvmwizard.paths import FileRefused, read_own_file, remove_unfinished, write_atomically

BLOCK_BYTES = 1024 * 1024
LARGEST_ORIGIN_BYTES = 64 * 1024


@dataclass(frozen=True)
class Origin:
    """Which version of the file the bytes are of (RFC 9110, section 8.8)."""

    url: str
    etag: str | None
    changed: str | None
    """Last-Modified, as the server wrote it."""
    length: int | None
    """Of the whole file; None where the server did not say."""

    def condition(self, url: str) -> str | None:
        """What If-Range asks with; None where the bytes cannot be gone on with.

        Another mirror has tags of its own, but the same date of the same file, since
        mirrors copy with it. A weak tag must not be used (RFC 9110, section 13.1.5).
        """
        if self.url == url and self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.changed


class PartialFile:
    """NAME.part, opened for writing at its end, with the hash of what is in it."""

    def __init__(self, path: Path) -> None:
        """Name it; nothing is opened yet."""
        self.path = path.with_name(path.name + ".part")
        self._origin_path = path.with_name(path.name + ".part.json")
        self._descriptor = -1
        self._digest = hashlib.sha256()
        self.size = 0
        self.origin: Origin | None = None
        self.resumed = False
        """Bytes of an earlier answer are in it."""

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise FileExistsError(17, os.strerror(17), str(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        if self.size == 0:
            self.remove()

    @property
    def sha256(self) -> str:
        """Of what is in it now."""
        return self._digest.hexdigest()

    @property
    def complete(self) -> bool:
        """It has as many bytes as the server said there are."""
        return self.origin is not None and self.origin.length is not None and self.size == self.origin.length

    def take_up(self, tell: Callable[[int], None]) -> None:
        """Go on with what an earlier process left, where its origin is known. Raises OSError."""
        self.origin = self._read_origin()
        if self.origin is None:
            self.empty()
            return
        self.size = 0
        while block := os.read(self._descriptor, BLOCK_BYTES):
            self._digest.update(block)
            self.size += len(block)
            tell(self.size)
        self.resumed = self.size > 0

    def begin(self, origin: Origin) -> None:
        """Start anew with a file of this origin. Raises NoSpace, OSError."""
        self.empty()
        self.origin = origin
        write_atomically(self._origin_path, json.dumps(asdict(origin)).encode("ascii"))

    def empty(self) -> None:
        """Forget all. Raises OSError."""
        self._origin_path.unlink(missing_ok=True)
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._digest = hashlib.sha256()
        self.size, self.origin, self.resumed = 0, None, False

    def write(self, piece: bytes) -> None:
        """Append. Raises NoSpace where the disk is full, OSError."""
        left = memoryview(piece)
        try:
            while left:
                written = os.write(self._descriptor, left)
                self._digest.update(left[:written])
                self.size += written
                left = left[written:]
        except OSError as error:
            if error.errno in FULL:
                raise full_disk(self.path.parent) from error
            raise

    def keep(self, path: Path) -> None:
        """Give the whole file its name, so that it outlasts a power cut. Raises OSError."""
        try:
            os.fsync(self._descriptor)
        except OSError:
            # What could not be written may be gone from the disk and still be read from memory, and the
            # kernel says so only once (fsync(2), NOTES): the next try would take it for whole.
            self.empty()
            raise
        self.path.replace(path)
        self.remove()

    def remove(self) -> None:
        """Leave nothing of it. Raises OSError."""
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)
        remove_unfinished(self._origin_path)

    def _read_origin(self) -> Origin | None:
        try:
            said = json.loads(read_own_file(self._origin_path, LARGEST_ORIGIN_BYTES).content)
            url, length, tags = said["url"], said["length"], (said["etag"], said["changed"])
        except (FileRefused, OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        known = isinstance(url, str) and (length is None or type(length) is int)
        # They are sent to the server, as a header.
        known = known and all(tag is None or _can_be_sent(tag) for tag in tags)
        return Origin(url, *tags, length) if known else None


def _can_be_sent(tag: object) -> bool:
    return isinstance(tag, str) and tag.isascii() and tag.isprintable()
