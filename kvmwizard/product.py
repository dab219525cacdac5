"""Stamps: what says of something that was downloaded or built which wishes it is for, and that it is whole.

Light, since the process that downloads must stay small.
"""

import errno
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kvmwizard.paths import remove_unfinished, write_atomically
from kvmwizard.words import Words

LARGEST_STAMP_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Stamp:
    """What a stamp says, and whether it is true."""

    identity: str
    whole: bool
    """Every file that it lists is there, and of the size it had."""
    about: dict[str, Any]
    """What the maker left for later: by which key it was verified, which symbols are missing."""
    told: Any = None
    """The fields of the Words that tell people what came of it, as the maker wrote them."""


def write_stamp(
    path: Path,
    identity: str,
    outputs: Iterable[Path],
    about: dict[str, Any] | None = None,
    told: Words | None = None,
) -> None:
    """Say that the product is whole; the last thing its maker does. Raises OSError.

    Args:
        path: where the stamp goes.
        identity: of the action that made the product.
        outputs: the files that later steps need; their sizes are kept.
        about: what later steps should know, as JSON.
        told: what people should know: whose signature is good, which settings were not taken.
    """
    sizes = {str(output): output.lstat().st_size for output in outputs}
    words = None if told is None else asdict(told)
    content = {"identity": identity, "outputs": sizes, "about": about or {}, "told": words}
    remove_unfinished(path)
    write_atomically(path, json.dumps(content, sort_keys=True).encode("ascii") + b"\n")


def read_stamp(path: Path) -> Stamp | None:
    """The stamp; None where there is none, or what is there is no stamp. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link, a socket
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST_STAMP_BYTES)
    finally:
        os.close(descriptor)
    try:
        said = json.loads(content)
        identity, outputs, about = said["identity"], said["outputs"], said["about"]
        whole = all(_has_size(Path(output), size) for output, size in outputs.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(identity, str) or not isinstance(about, dict):
        return None
    return Stamp(identity=identity, whole=whole, about=about, told=said.get("told"))


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.lstat().st_size == size
    except OSError:
        return False
