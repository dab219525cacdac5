"""Lets a builder without root's rights read the assets that its work needs."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kvmwizard.resources import assets_directory, use_assets_of

LEFT_OUT = "pictures"
"""A folder that is for readers, and larger than all the rest."""

SHARED = Path("/run/kvmwizard")
"""Only root makes anything here; it is emptied by a restart (file-hierarchy(7))."""

OPEN_DIRECTORY, OPEN_FILE = 0o755, 0o644


def share_assets(user: int, group: int) -> None:
    """See that this user can read them; for root, before it becomes that user.

    Root's own checkout, in /root or made with a tight umask, is closed to everybody else. Then
    they are read from a copy, which one version's processes share.

    Raises OSError.
    """
    if not _reads(user, group):
        use_assets_of(_copy())


def _reads(user: int, group: int) -> bool:
    files = tuple(_files(assets_directory()))
    groups, own_user, own_group = os.getgroups(), os.geteuid(), os.getegid()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(user)
    try:
        return all(os.access(path, os.R_OK, effective_ids=True) for path in files)
    finally:
        os.seteuid(own_user)
        os.setegid(own_group)
        os.setgroups(groups)


def _copy() -> Path:
    source = assets_directory()
    copy = SHARED / f"assets-{_digest(source)[:16]}"
    if copy.is_dir():
        return copy
    SHARED.mkdir(mode=OPEN_DIRECTORY, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SHARED, prefix="assets-") as room:
        whole = Path(room) / "whole"
        for path in _files(source):
            target = whole / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(OPEN_FILE)
        for folder in (whole, *(path for path in whole.rglob("*") if path.is_dir())):
            folder.chmod(OPEN_DIRECTORY)
        try:
            whole.rename(copy)
        except OSError:
            if not copy.is_dir():
                raise
    return copy


def _files(source: Path) -> Iterator[Path]:
    paths = (path for path in source.rglob("*") if path.is_file())
    yield from sorted(path for path in paths if path.relative_to(source).parts[0] != LEFT_OUT)


def _digest(source: Path) -> str:
    """Of names and contents."""
    digest = hashlib.sha256()
    for path in _files(source):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
