"""Whether there is room for a packed tree where root will put it, before root is asked at all."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from kvmwizard.build.payload import LARGEST_HEAD_BYTES
from kvmwizard.plan.build_model import InstallTree
from kvmwizard.run.root_helper import PACKAGES
from kvmwizard.words import Words, say

BOOT = Path("/boot")
COPIES_OF_A_PACKAGE = 2
"""The folder that it is made of, and the package itself, until it is installed."""
SPARE_BYTES = 4 * 1024 * 1024
"""On every file system that something goes to: the boot menu, dpkg's database, the journal."""
MEGABYTE = 1_000_000
FULL_BYTES = 64 * 1024
"""Less is no room for what a program says, which may be written in pieces of that size."""


def why_no_room(action: InstallTree) -> Words | None:
    """Where room is missing, with numbers; None where there is enough.

    Raises OSError, and ValueError or TypeError for what is no payload.
    """
    wanted: dict[int, tuple[Path, int]] = {}
    for path, size in _wanted(action):
        place = path
        while not place.is_dir():
            place = place.parent
        device = place.stat().st_dev
        known, bytes_there = wanted.get(device, (place, SPARE_BYTES))
        wanted[device] = (known, bytes_there + size)
    for place, size in wanted.values():
        free = _free(place)
        if free < size:
            return say(
                "{name} needs {needed} MB at {place}, and {free} MB are free there. Make room (remove "
                "kernels that you no longer start), then retry.",
                name=action.name,
                needed=-(-size // MEGABYTE),
                place=str(place),
                free=free // MEGABYTE,
            )
    return None


def why_no_log(log: Path) -> Words | None:
    """That a step's log has no room, so that its command failed without a word; else None. Raises OSError."""
    if _free(log.parent) >= FULL_BYTES:
        return None
    return say(
        "The disk is full: {log} could not take what the command said, so it failed. Make room (df -h shows "
        "where it is missing), then retry.",
        log=str(log),
    )


def _wanted(action: InstallTree) -> Iterator[tuple[Path, int]]:
    """What will be written where, beyond what is there of it already."""
    with Path(action.payload).open("rb") as file:
        entries = json.loads(file.readline(LARGEST_HEAD_BYTES))
    total = sum(size for _, _, size, _ in entries)
    if action.as_package:
        yield Path(PACKAGES), COPIES_OF_A_PACKAGE * total
    for name, _, size, _ in entries:
        path = Path("/", name)
        if not path.is_file() or path.stat().st_size != size:
            yield path, size
    if action.release is not None and not (BOOT / f"initrd.img-{action.release}").exists():
        # The new kernel's initramfs will be about as large as the largest one so far.
        yield BOOT, max((each.stat().st_size for each in BOOT.glob("initr*")), default=0)


def _free(place: Path) -> int:
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize
