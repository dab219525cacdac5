"""Removes what a killed build of QEMU may have left half-written.

QEMU's own rules write most files under their final names, and make takes a file
that is there and young for whole. Which ones were being written, nothing tells;
so what was written in the last minute goes, and is built again. The minute also
covers what a power cut lost: a file's content may reach the disk half a minute
after its name (the kernel's admin-guide/sysctl/vm, dirty_expire_centisecs).
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kvmwizard.build.qemu_tree import CONFIGURED

UNCERTAIN_SECONDS = 60
NINJA_RECORDS = (".ninja_log", ".ninja_deps", ".ninja_lock")
"""What ninja appends to and mends by itself."""


def remove_torn(build: Path) -> list[Path]:
    """Remove what was built in the minute before the newest file; the paths that are gone.

    What configure left stays. Raises OSError.
    """
    configured = (build / CONFIGURED).stat().st_mtime
    built = {path: time for path, time in _file_times(build) if time > configured}
    newest = max(built.values(), default=configured)
    torn = sorted(path for path, time in built.items() if time >= newest - UNCERTAIN_SECONDS)
    for path in torn:
        path.unlink()
    return torn


def _file_times(build: Path) -> Iterator[tuple[Path, float]]:
    for folder, _, names in os.walk(build):
        for name in names:
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and not name.startswith((*NINJA_RECORDS, "kvmwizard-")):
                yield path, status.st_mtime
