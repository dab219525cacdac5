"""Where throwaway machines keep their layers: a folder that is always safe to delete."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OVERLAY_TRIAL_SECONDS = 20


def _takes_overlays(directory: Path) -> bool:
    """Whether an overlay's upper layer may lie here: not on another overlay."""
    with tempfile.TemporaryDirectory(dir=directory) as trial:
        upper, work, root = (Path(trial, name) for name in ("upper", "work", "root"))
        for each in (upper, work, root):
            each.mkdir()
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        result = subprocess.run(
            ["/usr/bin/unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, str(root)],
            check=False,
            capture_output=True,
            timeout=OVERLAY_TRIAL_SECONDS,
        )
        return result.returncode == 0


@cache
def scratch_folder() -> Path | None:
    """The folder for layers and machines, private to root; None where no file system here allows overlays."""
    for candidate in (tempfile.gettempdir(), "/var/tmp", "/dev/shm"):
        folder = Path(candidate, "kvmwizard-throwaway-machines")
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        owned = folder.lstat()
        if folder.is_symlink() or owned.st_uid != os.geteuid():
            continue
        if _takes_overlays(folder):
            return folder
    return None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock; another test process waits for it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def hold_if_free(path: Path) -> int | None:
    """The descriptor of the file's exclusive lock, or None where somebody has a lock on it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@cache
def use(path: Path) -> int:
    """Share the file's lock with other users, for as long as this process lives."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


class MachineFolder:
    """One machine's folder, locked as long as its test process lives."""

    def __init__(self, scratch: Path) -> None:
        """Make it, after sweeping up what killed test processes left behind."""
        machines = scratch / "machines"
        machines.mkdir(exist_ok=True)
        with locked(scratch / "machines.lock"):
            _sweep(machines)
            self.path = Path(tempfile.mkdtemp(dir=machines))
            self._lock = hold_if_free(self.path / "lock")
        for name in ("upper", "work", "root"):
            (self.path / name).mkdir()

    def remove(self) -> None:
        """Delete it, unless that was done."""
        if self._lock is not None:
            for name in ("upper", "work", "root"):
                shutil.rmtree(self.path / name, ignore_errors=True)
            # Somebody who sweeps meanwhile would make the lock file anew in what is being removed.
            with locked(self.path.parents[1] / "machines.lock"):
                shutil.rmtree(self.path)
            os.close(self._lock)
            self._lock = None


def _sweep(machines: Path) -> None:
    """Remove the folders whose lock nobody holds."""
    for left in machines.iterdir():
        descriptor = hold_if_free(left / "lock")
        if descriptor is not None:
            shutil.rmtree(left)
            os.close(descriptor)
