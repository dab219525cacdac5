"""Tarballs as no release manager would make them."""

import io
import tarfile
from pathlib import Path

TOP = "linux-6.1.9"


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    """One entry."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def tarball(path: Path, *members: tarfile.TarInfo, top: str = TOP) -> Path:
    """A source tree that is in order, and these after it."""
    whole = [
        member(top, tarfile.DIRTYPE, mode=0o755),
        member(f"{top}/Makefile"),
        member(f"{top}/Kconfig"),
        *members,
    ]
    with tarfile.open(path, "w:xz", preset=0) as archive:
        for info in whole:
            content = f"content of {info.name}\n".encode() if info.isreg() else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    path.chmod(0o644)
    return path
