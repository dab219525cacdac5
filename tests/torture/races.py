"""Races the root helper's own functions against a process that swaps names as fast as it can; run as root.

races.py HELPER TRIES

/run must be a file system of the caller's own. Every way of racing gets its share of the tries, and so does
a careless writer, which looks at a name (lstat) and then opens it: what that one leaks shows that the racer
is good at its work. Prints, by the way's name, how many tries there were, how many did their work, how many
were refused, how often the racer had put its trap in place, and how many leaked; then the same without a
racer, the trap being put in place right before each single system call of root's.
"""

# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH110, PTH116, PTH123, PTH208, PTH211  -- plain system calls

import contextlib
import ctypes
import itertools
import json
import mmap
import os
import runpy
import signal
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

HELPER: dict[str, Any] = {}
SystemCall = Callable[..., Any]
ALICE = 12345
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # fcntl.h, linux/fs.h
EXCHANGE_SYSTEM_CALL = ctypes.CDLL(None, use_errno=True).renameat2
ROOTS, TRAP, SECRET = "/run/roots", "/run/alice/trap", "/run/alice/secret"
SECRET_TEXT = b"alice's own\n"
KINDS_OF_TRAPS = 4
STEPS = (
    *(
        "open",
        "stat",
        "lstat",
        "fstat",
        "mkdir",
        "rename",
        "unlink",
        "fchmod",
        "fsync",
        "close",
        "chown",
        "chmod",
    ),
    *("getxattr", "setxattr", "removexattr"),
)
"""The system calls before which a trap may be put in place."""
LEAST_SWAPS = 50
"""A race that the racer has hardly begun is no race."""


def exchange(one: str, other: str) -> None:
    """Both names change their places in one moment (renameat2(2)). Raises OSError."""
    if EXCHANGE_SYSTEM_CALL(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Racer:
    """A process of its own that puts traps in place and takes them away again."""

    def __init__(self, swap: Callable[[int], None]) -> None:
        self._counter = mmap.mmap(-1, 8)
        self._process = os.fork()
        if self._process == 0:
            for number in range(sys.maxsize):
                # Root may have put its file over the trap: the next swap goes on from there.
                with contextlib.suppress(OSError):
                    swap(number)
                    self._counter[:] = struct.pack("@Q", number)
        while self.swaps < LEAST_SWAPS:
            time.sleep(0)

    @property
    def swaps(self) -> int:
        """How many there were so far."""
        found: int = struct.unpack("@Q", self._counter[:])[0]
        return found

    def end(self) -> None:
        """Kill it."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def make_folder(path: str, owner: int, mode: int = 0o755) -> None:
    """A folder of somebody's."""
    os.mkdir(path)
    os.chmod(path, mode)
    os.chown(path, owner, owner)


def make_file(path: str, content: bytes, owner: int) -> None:
    """A file of somebody's."""
    with open(path, "wb") as file:
        file.write(content)
    os.chown(path, owner, owner)


@contextlib.contextmanager
def scene() -> Iterator[None]:
    """Root's folder, alice's folder with a secret of hers and an empty trap; all gone afterwards."""
    make_folder(ROOTS, 0)
    make_folder("/run/alice", ALICE)
    make_folder(TRAP, ALICE, 0o777)
    make_file(SECRET, SECRET_TEXT, ALICE)
    yield
    os.system("rm -rf /run/roots /run/alice")  # noqa: S605, S607  -- fixed words, in a file system of this test's own


class Race:
    """One way of racing: what is swapped, what root does, and what shows that it was led astray."""

    def prepare(self) -> None:
        """Put everything in place."""
        raise NotImplementedError

    def swap(self, number: int) -> None:
        """One swap."""
        raise NotImplementedError

    def plant(self, number: int) -> None:
        """Put a trap in place and leave it there. Raises OSError."""
        self.swap(number)

    def act(self) -> None:
        """What root does. Raises Refused, OSError."""
        HELPER["write_file"]({"path": f"{ROOTS}/place/file", "text": "root's\n", "mode": 0o644})

    def leaked(self) -> bool:
        """Whether something came where it must not; the trace of it is removed."""
        return emptied(TRAP)


def emptied(folder: str) -> bool:
    """Whether anything was in the folder."""
    names = os.listdir(folder)
    for name in names:
        os.unlink(f"{folder}/{name}")
    return bool(names)


class FolderAgainstLink(Race):
    """Root's folder changes places with a link to alice's."""

    def prepare(self) -> None:
        make_folder(f"{ROOTS}/place", 0)
        os.symlink(TRAP, f"{ROOTS}/trap")

    def swap(self, _: int) -> None:
        exchange(f"{ROOTS}/place", f"{ROOTS}/trap")


class CarelessWriter(FolderAgainstLink):
    """Not the helper: looks first, then opens the name once more."""

    def act(self) -> None:
        place = f"{ROOTS}/place"
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode) or status.st_uid != 0:
            raise OSError(place)
        os.close(os.open(f"{place}/file", os.O_WRONLY | os.O_CREAT, 0o644))


class FolderAgainstAlices(Race):
    """Root's folder changes places with one of alice's, which is no link."""

    def prepare(self) -> None:
        make_folder(f"{ROOTS}/place", 0)
        self._alices = os.open(TRAP, os.O_RDONLY)

    def swap(self, _: int) -> None:
        exchange(f"{ROOTS}/place", TRAP)

    def leaked(self) -> bool:
        names = os.listdir(self._alices)
        for name in names:
            os.unlink(name, dir_fd=self._alices)
        return bool(names)


class FolderAgainstLinkToRoots(FolderAgainstLink):
    """The link leads to another folder of root's, which nothing but its being a link keeps root from."""

    def prepare(self) -> None:
        super().prepare()
        os.rmdir(TRAP)
        make_folder(TRAP, 0)


class FileAgainstTraps(Race):
    """Under the file's name: a link to alice's file, a second name of it, a pipe, another file of hers."""

    def prepare(self) -> None:
        make_folder(f"{ROOTS}/place", 0)

    def plant(self, number: int) -> None:
        made = f"{ROOTS}/made"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made)
        (
            lambda: os.symlink(SECRET, made),
            lambda: os.link(SECRET, made),
            lambda: os.mkfifo(made),
            lambda: make_file(made, b"alice's\n", ALICE),
        )[number % 4]()
        os.rename(made, f"{ROOTS}/place/file")

    def swap(self, number: int) -> None:
        self.plant(number)
        if number % 2:
            os.unlink(f"{ROOTS}/place/file")

    def leaked(self) -> bool:
        return changed_secret()


class UnfinishedAgainstTraps(FileAgainstTraps):
    """The same under the name that the file has until it is whole, each for a moment."""

    def plant(self, number: int) -> None:
        (os.symlink, os.link)[number % 2](SECRET, f"{ROOTS}/place/.file.unfinished")

    def swap(self, number: int) -> None:
        try:
            self.plant(number)
        finally:
            os.unlink(f"{ROOTS}/place/.file.unfinished")


def changed_secret() -> bool:
    """Whether alice's file is another than it was; it is mended."""
    with open(SECRET, "rb") as file:
        same = file.read() == SECRET_TEXT
    status = os.stat(SECRET)
    same = same and (status.st_uid, status.st_gid, status.st_mode & 0o777) == (ALICE, ALICE, 0o644)
    if not same:
        make_file(SECRET, SECRET_TEXT, ALICE)
        os.chmod(SECRET, 0o644)
    return not same


class FileReadAgainstLink(Race):
    """A file that root reads changes places with a link to alice's, which root must not take for its own."""

    def prepare(self) -> None:
        make_file(f"{ROOTS}/list", b"root's\n", 0)
        os.symlink(SECRET, f"{ROOTS}/trap")
        self._read = b""

    def swap(self, _: int) -> None:
        exchange(f"{ROOTS}/list", f"{ROOTS}/trap")

    def act(self) -> None:
        self._read = b""
        self._read = HELPER["read_file"](f"{ROOTS}/list")

    def leaked(self) -> bool:
        return self._read == SECRET_TEXT


class FileReadAgainstAlices(FileReadAgainstLink):
    """As before, with a file of alice's in place of the link."""

    def prepare(self) -> None:
        super().prepare()
        os.unlink(f"{ROOTS}/trap")
        os.link(SECRET, f"{ROOTS}/trap")


class FileReadAgainstLinkToRoots(FileReadAgainstLink):
    """The link leads to another file of root's, which was not asked for."""

    def prepare(self) -> None:
        super().prepare()
        os.chown(SECRET, 0, 0)


class RemovalAgainstLink(Race):
    """The folder in which root removes a file changes places with a link to alice's."""

    def prepare(self) -> None:
        make_folder(f"{ROOTS}/place", 0)
        os.symlink(TRAP, f"{ROOTS}/trap")
        make_file(f"{TRAP}/file", b"", 0)

    def swap(self, _: int) -> None:
        exchange(f"{ROOTS}/place", f"{ROOTS}/trap")

    def act(self) -> None:
        HELPER["remove_file"]({"path": f"{ROOTS}/place/file"})

    def leaked(self) -> bool:
        if os.path.exists(f"{TRAP}/file"):
            return False
        make_file(f"{TRAP}/file", b"", 0)
        return True


class DeviceAgainstLink(Race):
    """The device changes places with a link to alice's file."""

    def prepare(self) -> None:
        os.mknod(f"{ROOTS}/device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.symlink(SECRET, f"{ROOTS}/trap")

    def swap(self, _: int) -> None:
        exchange(f"{ROOTS}/device", f"{ROOTS}/trap")

    def act(self) -> None:
        HELPER["set_device_group"]({"path": f"{ROOTS}/device", "group": "1", "mode": 0o660})

    def leaked(self) -> bool:
        return changed_secret()


class DeviceAgainstFile(DeviceAgainstLink):
    """The device changes places with a second name of alice's file."""

    def prepare(self) -> None:
        super().prepare()
        os.unlink(f"{ROOTS}/trap")
        os.link(SECRET, f"{ROOTS}/trap")


class DeviceAgainstLinkToDevice(DeviceAgainstLink):
    """The link leads to another device."""

    def prepare(self) -> None:
        super().prepare()
        os.unlink(f"{ROOTS}/trap")
        os.mknod(f"{ROOTS}/other", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        os.symlink(f"{ROOTS}/other", f"{ROOTS}/trap")

    def leaked(self) -> bool:
        given = os.stat(f"{ROOTS}/other").st_gid != 0
        os.chown(f"{ROOTS}/other", 0, 0)
        return given


CARELESS = {"a careless writer, to see that the racer wins": CarelessWriter}
RACES: dict[str, type[Race]] = {
    "a folder against a link": FolderAgainstLink,
    "a folder against a link to another of root's": FolderAgainstLinkToRoots,
    "a folder against a user's folder": FolderAgainstAlices,
    "a file against links, pipes and a user's file": FileAgainstTraps,
    "an unfinished file against links": UnfinishedAgainstTraps,
    "a file that is read against a link": FileReadAgainstLink,
    "a file that is read against a link to another of root's": FileReadAgainstLinkToRoots,
    "a file that is read against a user's file": FileReadAgainstAlices,
    "a removal against a link": RemovalAgainstLink,
    "a device against a link": DeviceAgainstLink,
    "a device against a link to another device": DeviceAgainstLinkToDevice,
    "a device against a user's file": DeviceAgainstFile,
}


class Stepper:
    """Puts a trap in place right before one of root's system calls: what a racer can only hope for."""

    def __init__(self, race: Race, number: int, kind: int) -> None:
        self._race, self._left, self._kind = race, number, kind
        self.sprung = False

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """While it is counting."""
        kept = {name: getattr(os, name) for name in STEPS}
        for name, function in kept.items():
            setattr(os, name, self._counting(function, kept))
        try:
            yield
        finally:
            self._restore(kept)

    def _counting(self, function: SystemCall, kept: dict[str, SystemCall]) -> SystemCall:
        def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self.sprung = True
                self._restore(kept)
                with contextlib.suppress(OSError):
                    self._race.plant(self._kind)
            return function(*arguments, **options)

        return call

    def _restore(self, kept: dict[str, SystemCall]) -> None:
        for name, function in kept.items():
            setattr(os, name, function)


def stepped(make: type[Race]) -> dict[str, int]:
    """A trap of each kind before each of root's system calls."""
    told = {"steps": 0, "leaked": 0}
    for kind in range(KINDS_OF_TRAPS):
        for number in itertools.count(1):
            race = make()
            with scene():
                race.prepare()
                stepper = Stepper(race, number, kind)
                with stepper.in_place(), contextlib.suppress(HELPER["Refused"], OSError):
                    race.act()
                told["leaked"] += race.leaked()
            if not stepper.sprung:
                break
            told["steps"] += 1
    return told


def run(race: Race, tries: int) -> dict[str, int]:
    """Race so many times."""
    told = {"tries": tries, "done": 0, "refused": 0, "leaked": 0}
    with scene():
        race.prepare()
        racer = Racer(race.swap)
        try:
            for _ in range(tries):
                try:
                    race.act()
                    told["done"] += 1
                except (HELPER["Refused"], OSError):
                    told["refused"] += 1
                told["leaked"] += race.leaked()
            told["swaps"] = racer.swaps
        finally:
            racer.end()
    return told


def main() -> None:
    """See the module."""
    HELPER.update(runpy.run_path(sys.argv[1], run_name="helper"))
    share = -(-int(sys.argv[2]) // len(RACES))
    races = {**RACES, **CARELESS}
    told = {name: {**run(race(), share), "by step": stepped(race)} for name, race in races.items()}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
