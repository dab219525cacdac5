"""Whether there is room on the disk, and the sentence where there is none."""

import errno
import os
from pathlib import Path

from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.words import say

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
MEGABYTE = 1_000_000


class NoSpace(FetchRefused):
    """The disk has not enough room."""


def free_bytes(folder: Path) -> int:
    """What this user may still write there. Raises OSError."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def require_space(folder: Path, needed: int) -> None:
    """Refuse before anything is written where there is not enough room. Raises NoSpace, OSError."""
    free = free_bytes(folder)
    if needed > free:
        raise NoSpace(
            say(
                "There are {free} MB free at {folder}, and this step needs {needed} MB. Make room there or "
                "choose another build folder, then go on.",
                free=free // MEGABYTE,
                folder=str(folder),
                needed=-(-needed // MEGABYTE),
            )
        )


def full_disk(folder: Path) -> NoSpace:
    """The refusal for a disk that got full meanwhile."""
    return NoSpace(
        say(
            "The disk is full: {folder} took no more. Make room there or choose another build folder, then "
            "go on; what was done is kept where that saves time.",
            folder=str(folder),
        )
    )


def is_full(folder: Path) -> bool:
    """Whether a program that failed there has likely failed for want of room. Raises OSError."""
    return free_bytes(folder) < MEGABYTE or os.statvfs(folder).f_favail == 0
