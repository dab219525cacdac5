"""Packs a report, and puts it where nothing was."""

import contextlib
import errno
import gzip
import io
import os
import tarfile
import time
from pathlib import Path

from kvmwizard.paths import sync_directory
from kvmwizard.refusal import Refusal
from kvmwizard.report.collect import Report
from kvmwizard.words import say

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""What link(2) says on file systems without hard links."""


class ReportRefused(Refusal):
    """The report cannot be written there; `words` says why and what to do."""


def usual_path(folder: Path | None = None) -> Path:
    """A free name in the folder, else in that where one is, else in the home directory."""
    folder = _usual_folder() if folder is None else folder
    stem = f"kvmwizard-report-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = folder / f"{stem}.tar.gz", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}-{number}.tar.gz"
    return path


def _usual_folder() -> Path:
    # The folder where one is may have been removed.
    with contextlib.suppress(FileNotFoundError):
        if os.access(Path.cwd(), os.W_OK | os.X_OK):
            return Path.cwd()
    return Path.home()


def write_report(report: Report, path: Path) -> None:
    """Write it, mode 0600, whole or not at all. Raises ReportRefused."""
    try:
        _write_new(path, packed(report, path.name.removesuffix(".tar.gz")))
    except FileExistsError as error:
        raise ReportRefused(
            say(
                "{path} is there already, and a report overwrites nothing. Choose another name.",
                path=str(path),
            )
        ) from error
    except OSError as error:
        raise ReportRefused(
            say(
                "The report cannot be written to {path}: {error}. Choose another place with --output FILE.",
                path=str(path),
                error=error.strerror or str(error),
            )
        ) from error


def packed(report: Report, folder: str) -> bytes:
    """The archive's bytes: every file in a folder of this name, nobody's own."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for file in report.files:
            entry = tarfile.TarInfo(f"{folder}/{file.name}")
            entry.size, entry.mode, entry.mtime = len(file.content), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(file.content))
    return gzip.compress(plain.getvalue())


def _write_new(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.urandom(8).hex()}.unfinished")
    try:
        _write(unfinished, content)
        try:
            # Unlike rename(2), link(2) never replaces what stands there.
            os.link(unfinished, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            _write(path, content)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_directory(path.parent)


def _write(path: Path, content: bytes) -> None:
    """A new file. Raises OSError, what was begun of it then being gone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
