"""What root changes, looked at as if the power went at that moment; runs as root inside a throwaway machine.

durable_as_root.py HELPER DRIVER PAYLOAD DIGEST LIST ACTION...
    DRIVER is tests/run/root_driver.py, LIST root's list of the tree that is installed.
    Carries out one ACTION after the other on a disk of which only what was flushed is there without power.
    No file of the tree changes without its list being there, and the list not before the tree is there as
    it seems; any other file is whole, in a form that it had or has; in the end all is there that seems so.
    Prints how many changes of names and flushes there were, and what would have been lost.
"""

import json
import os
import runpy
import stat
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

DRIVER = runpy.run_path(sys.argv[2], run_name="driver")
WATCHED = ("/etc/modules-load.d", "/opt/kvmwizard", "/var/lib/kvmwizard")
TREE = "/opt/kvmwizard/"
NOTHING = "nothing"

Inode = tuple[int, int]
Files = dict[str, str]


def is_watched(path: str) -> bool:
    """Whether it is one of WATCHED, above one or below one."""
    return any(f"{path}/".startswith(f"{each}/") or f"{each}/".startswith(f"{path}/") for each in WATCHED)


def inode(status: os.stat_result) -> Inode:
    """What the file is, whatever it is called."""
    return status.st_dev, status.st_ino


def names_in(folder: str) -> dict[str, str]:
    """The paths of what is watched there, by their names."""
    paths = {name: f"{folder.rstrip('/')}/{name}" for name in os.listdir(folder)}  # noqa: PTH208  -- names alone
    return {name: path for name, path in paths.items() if is_watched(path)}


class Disk:
    """What was flushed: of a file its mode and content, of a folder its names, as they were then."""

    def __init__(self) -> None:
        self._kept: dict[Inode, str | dict[str, Inode]] = {}
        self.flush_all("/")

    def flush(self, path: str) -> None:
        """As fsync(2) does."""
        status = Path(path).lstat()
        if stat.S_ISDIR(status.st_mode):
            self._kept[inode(status)] = {
                name: inode(Path(each).lstat()) for name, each in names_in(path).items()
            }
        else:
            self._kept[inode(status)] = f"{status.st_mode:o} {Path(path).read_text(encoding='latin-1')}"

    def flush_all(self, path: str) -> None:
        """As sync(2) does, from there on."""
        self.flush(path)
        if Path(path).is_dir():
            for each in names_in(path).values():
                self.flush_all(each)

    def begin(self, status: os.stat_result) -> None:
        """Something new: of what had its number before, nothing is left."""
        self._kept[inode(status)] = {} if stat.S_ISDIR(status.st_mode) else NOTHING

    def files(self) -> Files:
        """Every file that would be there, but for what is unfinished."""
        found: Files = {}
        folders = [("", inode(Path("/").stat()))]
        for folder, number in folders:
            names = self._kept[number]
            assert isinstance(names, dict)
            for name, each in names.items():
                kept = self._kept[each]
                if isinstance(kept, dict):
                    folders.append((f"{folder}/{name}", each))
                elif not name.endswith(".unfinished"):
                    found[f"{folder}/{name}"] = kept
        return found


class Watch:
    """Looks at the disk at every change of a name that the helper makes."""

    def __init__(self, listed: str) -> None:
        self._listed, self._disk = listed, Disk()
        self._seen: set[tuple[str, str]] = {*self._disk.files().items()}
        self.counted: Counter[str] = Counter(changes=0, flushes=0, lost=0)
        self.amiss: list[str] = []

    def begin(self) -> None:
        """From now on, the calls of this process are seen."""
        opened, made = os.open, os.mkdir

        def opening(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            descriptor = opened(path, flags, *arguments, **options)
            if flags & os.O_CREAT:
                self._disk.begin(os.fstat(descriptor))
            return descriptor

        def making(path: Any, *arguments: Any, **options: Any) -> None:
            made(path, *arguments, **options)
            self._disk.begin(os.stat(path, **options))  # noqa: PTH116  -- by a directory's descriptor

        os.open, os.mkdir = opening, making
        os.fsync = self._flushing(os.fsync, lambda descriptor: self._disk.flush(path_of(descriptor)))
        os.sync = self._flushing(os.sync, lambda: self._disk.flush_all("/"))
        os.rename = self._changing(os.rename, 1, "dst_dir_fd")
        os.unlink = self._changing(os.unlink, 0, "dir_fd")

    def end(self, name: str) -> None:
        """What seems to be there is there."""
        self._expect(self._disk.files() == Disk().files(), f"{name}: not all was flushed in the end")

    def _flushing(self, real: Callable[..., None], flush: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            real(*arguments)
            flush(*arguments)
            self.counted["flushes"] += 1
            self._look()

        return call

    def _changing(self, real: Callable[..., None], place: int, folder: str) -> Callable[..., None]:
        def call(*names: Any, **options: Any) -> None:
            path = f"{path_of(options[folder])}/{names[place]}"
            self._look_before(path)
            real(*names, **options)
            self.counted["changes"] += 1
            self._seen |= {*Disk().files().items()}
            self._look()

        return call

    def _look_before(self, path: str) -> None:
        there, seems = self._disk.files(), Disk().files()
        if path.startswith(TREE):
            self._expect(self._listed in there, f"{path} changes, and nothing lists it")
        if path == self._listed:
            trees = [{each for each in files.items() if each[0].startswith(TREE)} for files in (there, seems)]
            self._expect(trees[0] == trees[1], f"the list changes before {trees[0] ^ trees[1]}")

    def _look(self) -> None:
        # What of a tree is torn is on its list, which is not finished: it is done again.
        torn = {each for each in self._disk.files().items() if not each[0].startswith(TREE)} - self._seen
        self._expect(not torn, f"torn: {torn}")

    def _expect(self, good: bool, amiss: str) -> None:
        if not good:
            self.counted["lost"] += 1
            self.amiss.append(amiss[:500])


def path_of(descriptor: int) -> str:
    """What was opened."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def main() -> None:
    """See the module."""
    payload, digest, listed, *actions = sys.argv[3:]
    watch = Watch(listed)
    watch.begin()
    for action in actions:
        outcome = DRIVER["Tree"](action, payload, digest).do()
        assert outcome["code"] is None, outcome
        watch.end(action)
    sys.stdout.write(json.dumps({"counted": watch.counted, "amiss": watch.amiss}))


if __name__ == "__main__":
    main()
