"""Lists of versions kept for another time: one file an address, as old as the file says."""

import contextlib
import hashlib
import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmwizard.catalog.listed import Listed
from kvmwizard.catalog.names import DAY, MONIKERS
from kvmwizard.catalog.version import parse_version
from kvmwizard.paths import PRIVATE_MODE, WRITABLE_BY_OTHERS, make_parents, write_atomically
from kvmwizard.words import Words, say

SCHEMA_VERSION = 1
LARGEST_FILE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """What an address listed the last time that it answered."""

    etag: str | None
    listed: tuple[Listed, ...]
    directories: tuple[str, ...]
    time: float
    """When it was asked last and said this, in seconds since 1970."""


class FolderIsOpenError(Exception):
    """A folder is another user's, or others may write there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder


class ListCache:
    """The lists in one folder; what is wrong with it ends up in `notices` and stops nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "catalog"
        self.notices: list[Words] = []

    def read(self, address: str) -> Kept | None:
        """What was kept of this address; None where nothing was, or what is there cannot be believed."""
        path = self._path(address)
        try:
            self._refuse_open_folders()
            content = _content(path)
            kept = _parsed(content, address, path.lstat().st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except FolderIsOpenError as error:
            self._warn_of(error.folder)
            return None
        except OSError:
            kept = None
        if kept is None:
            self._distrust(path)
        return kept

    def keep(
        self,
        address: str,
        etag: str | None,
        listed: tuple[Listed, ...],
        directories: tuple[str, ...] = (),
    ) -> None:
        """Replace what is kept of this address."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "address": address,
            "etag": _usable_etag(etag),
            "listed": listed,
            "directories": directories,
        }
        content = json.dumps(document).encode("ascii")
        path = self._path(address)
        try:
            self._make_folder()
            # Waiting for the disk takes longer than all else, so not for what it has already.
            if _held(path) == content:
                self.confirm(address)
            else:
                write_atomically(path, content)
        except FolderIsOpenError as error:
            self._warn_of(error.folder)
        except OSError as error:
            self._notice(
                say(
                    "The list of versions cannot be kept for later in {folder}: {error}.",
                    folder=str(self._folder),
                    error=error.strerror or str(error),
                )
            )

    def confirm(self, address: str) -> None:
        """The address said that what is kept is still true."""
        with contextlib.suppress(OSError):
            os.utime(self._path(address), follow_symlinks=False)

    def _make_folder(self) -> None:
        make_parents(self._folder)
        try:
            self._folder.mkdir(mode=PRIVATE_MODE)
            self._folder.chmod(PRIVATE_MODE)
        except FileExistsError:
            if not stat.S_ISDIR(self._folder.lstat().st_mode):
                raise NotADirectoryError(None, "it is no directory", str(self._folder)) from None
        self._refuse_open_folders()

    def _refuse_open_folders(self) -> None:
        """Who may write there could put older lists of ours in place of newer ones, or hinder us."""
        for folder in (self._folder.parent, self._folder):
            status = folder.stat()
            if status.st_uid != os.geteuid() or status.st_mode & WRITABLE_BY_OTHERS:
                raise FolderIsOpenError(folder)

    def _warn_of(self, folder: Path) -> None:
        self._notice(
            say(
                "Others may write to {folder}, so no lists of versions are kept there or taken from there. "
                "Make it yours alone: chmod 700 {folder}",
                folder=str(folder),
            )
        )

    def _path(self, address: str) -> Path:
        return self._folder / f"{hashlib.sha256(address.encode('utf-8', 'replace')).hexdigest()}.json"

    def _distrust(self, path: Path) -> None:
        self._notice(
            say("The list of versions kept in {path} could not be used, and is left aside.", path=str(path))
        )

    def _notice(self, words: Words) -> None:
        if words.template not in {notice.template for notice in self.notices}:
            self.notices.append(words)


def _held(path: Path) -> bytes:
    try:
        return _content(path)
    except OSError:
        return b""


def _content(path: Path) -> bytes:
    """What the file holds; nothing where it is not ours alone. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(LARGEST_FILE_BYTES) if _is_ours(os.fstat(descriptor)) else b""


def _is_ours(status: os.stat_result) -> bool:
    private = status.st_uid == os.geteuid() and not status.st_mode & WRITABLE_BY_OTHERS
    return private and stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_FILE_BYTES


def _parsed(content: bytes, address: str, changed: float) -> Kept | None:
    try:
        document = json.loads(content)
        if document["schema_version"] != SCHEMA_VERSION or document["address"] != address:
            return None
        listed = tuple(_listed(*version) for version in document["listed"])
        etag, directories = document["etag"], tuple(document["directories"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if etag != _usable_etag(etag) or not all(isinstance(name, str) for name in directories):
        return None
    # A clock that was set back must not make a list younger than new.
    return Kept(etag=etag, listed=listed, directories=directories, time=min(changed, time.time()))


def _usable_etag(etag: object) -> str | None:
    """The validator, where it can be sent back in a header (RFC 9110, section 8.8.3)."""
    return etag if isinstance(etag, str) and etag.isascii() and etag.isprintable() else None


def _listed(version: Any, released: Any, moniker: Any, ended: Any) -> Listed:
    """What `Listed` was when it was kept. Raises ValueError or TypeError for anything else."""
    if (
        not isinstance(version, str)
        or parse_version(version) is None
        or not (released is None or DAY.fullmatch(released))
        or moniker not in {None, *MONIKERS}
        or not isinstance(ended, bool)
    ):
        raise ValueError(version)
    return Listed(version, released, moniker, ended)
