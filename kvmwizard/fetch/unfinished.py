"""A new tree, made beside where it will be and renamed when it is whole.

What a killed process left is removed by the next one that makes the same tree.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.fetch.sweep import remove_tree
from kvmwizard.paths import PRIVATE_MODE, sync_directory
from kvmwizard.product import write_stamp
from kvmwizard.words import Words

FLUSH_SECONDS = 1.0
MARKS = ("Makefile", "Kconfig", "configure", "VERSION", "MAINTAINERS", "COPYING")
"""Files at the top of the trees of Linux and QEMU, by whose sizes the stamp knows its tree again."""


@contextmanager
def unfinished_folder(tree: Path) -> Iterator[Path]:
    """A new folder, mode 0700, on the tree's own file system; gone afterwards. Raises OSError."""
    tree.parent.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
    folder = tree.with_name(f".{tree.name}.unfinished")
    remove_tree(folder)
    folder.mkdir(mode=PRIVATE_MODE)
    try:
        yield folder
    finally:
        remove_tree(folder)


@dataclass(frozen=True)
class Label:
    """What a tree's stamp will say; see `write_stamp`."""

    stamp: Path
    identity: str
    about: dict[str, object]
    told: Words


def put_in_place(made: Path, tree: Path, label: Label) -> None:
    """Give a whole tree its name, in place of what was there, and write its stamp. Raises OSError."""
    flush(made)
    stamp = label.stamp
    # No stamp may vouch for a tree that is being taken away.
    stamp.parent.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    remove_tree(tree)
    made.rename(tree)
    sync_directory(tree.parent)
    marks = [tree / mark for mark in marks_of(tree)]
    write_stamp(stamp, label.identity, marks, label.about, label.told)


def marks_of(tree: Path) -> list[str]:
    """Which of the files that tell a source are at its top."""
    return [mark for mark in MARKS if (tree / mark).is_file()]


@contextmanager
def flushing(folder: Path) -> Iterator[None]:
    """While thousands of files are written, have them reach the disk, so that little is left to wait for.

    Raises OSError at the end where any of them could not be written: a descriptor is told of each
    failure since it was opened, once (syncfs(2)), so that only the first one's word counts.
    """
    done, failures = threading.Event(), list[OSError]()
    descriptor = _opened(folder)

    def flush_again() -> None:
        while not failures and not done.wait(FLUSH_SECONDS):
            try:
                _flush(descriptor)
            except OSError as error:
                failures.append(error)

    thread = threading.Thread(target=flush_again, daemon=True)
    thread.start()
    try:
        try:
            yield
        finally:
            done.set()
            thread.join()
        _flush(descriptor)
    finally:
        os.close(descriptor)
    if failures:
        raise failures[0]


def flush(folder: Path) -> None:
    """Make all that was written there outlast a power cut: syncfs(2), once for thousands of files."""
    descriptor = _opened(folder)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _flush(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
