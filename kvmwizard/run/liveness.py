"""Whether a run's runner is alive, and speaking to exactly that process.

Alive means: the run's lock is held, the record in it names this boot, and the
process of that number started when the record says. A process id alone proves
nothing, since the kernel gives it to another process later.
"""

import contextlib
import errno
import fcntl
import os
import signal
import struct
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from kvmwizard.paths import read_own_file
from kvmwizard.words import Words

LOCK_NAME = "lock"
RECORD_BYTES = 4096
"""The record is padded to one block, so that noting a full disk needs no further block."""
FLOCK = "@hhqqi4x"
"""struct flock of fcntl(2), padded: type, whence, start, length (0: all of the file), process."""


class ProcessIdentity(BaseModel):
    """One process, told from every other of this and of earlier boots."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    process_start: int
    """Field 22 of /proc/PID/stat (proc(5)), clock ticks since boot."""
    boot_id: str

    @property
    def alive(self) -> bool:
        """Whether the process of this number is the one that is meant."""
        return self.boot_id == boot_id() and process_start(self.pid) == self.process_start


class LockRecord(BaseModel):
    """What the runner writes into its lock file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holder: ProcessIdentity
    problem: Words | None = None
    """Why the runner had to leave without a word in the journal."""


def boot_id() -> str:
    """This boot's random id (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


class _Fields(NamedTuple):
    """What is asked of /proc/PID/stat (proc_pid_stat(5))."""

    parent: int
    group: int
    session: int
    start: int


def _fields(pid: int) -> _Fields | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets, and may hold brackets and spaces itself.
    fields = status.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return _Fields(int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def process_start(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where there is none, or it is a zombie."""
    fields = _fields(pid)
    return None if fields is None else fields.start


def process_groups(session: int) -> frozenset[int]:
    """The process groups of a session in which a process is at work (proc_pid_stat(5))."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        fields = _fields(int(process.name))
        if fields is not None and fields.session == session:
            found.add(fields.group)
    return frozenset(found)


def lock_holders_outside(session: int, path: Path) -> tuple[ProcessIdentity, ...]:
    """Which processes of other sessions hold the lock on the file, as far as this user may see.

    The calling process is none of them, nor is a child of its own: until that runs its program it holds
    all that this process holds. The source is proc_pid_fdinfo(5), with a kernel since 4.1.
    """
    wanted = path.stat()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        number = int(process.name)
        fields = _fields(number)
        if fields is None or fields.session == session or os.getpid() in {number, fields.parent}:
            continue
        # Of other users, or gone by now.
        with contextlib.suppress(OSError):
            if _holds_lock(process, wanted):
                found.append(ProcessIdentity(pid=number, process_start=fields.start, boot_id=boot_id()))
    return tuple(found)


def _holds_lock(process: Path, wanted: os.stat_result) -> bool:
    """Who only looks at the lock has the file open, too."""
    for file in (process / "fd").iterdir():
        # One that was closed meanwhile says nothing of the others.
        with contextlib.suppress(OSError):
            if os.path.samestat(file.stat(), wanted):
                lock = (process / "fdinfo" / file.name).read_text(encoding="ascii")
                if "OFDLCK" in lock:
                    return True
    return False


def this_process() -> ProcessIdentity:
    """The calling process."""
    pid = os.getpid()
    started = process_start(pid)
    if started is None:
        raise ProcessLookupError(pid)
    return ProcessIdentity(pid=pid, process_start=started, boot_id=boot_id())


class RunLock:
    """The run's lock, held for as long as this process lives; commands do not inherit it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_NAME
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock and write who holds it; False where another runner does. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        if not take_lock(descriptor):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._write(LockRecord(holder=this_process()))
        return True

    def note_problem(self, problem: Words) -> None:
        """Leave word of why this runner goes, where the journal cannot take it; none on a failing disk."""
        with contextlib.suppress(OSError):
            self._write(LockRecord(holder=this_process(), problem=problem))

    def _write(self, record: LockRecord) -> None:
        if self._descriptor is None:
            raise RuntimeError(self._path)
        content = record.model_dump_json(ensure_ascii=True).encode("ascii").ljust(RECORD_BYTES)
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))


def take_lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock the file for as long as any process has this descriptor; False where somebody else has.

    With `wait`, once nobody else has. Raises OSError.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, _whole_file())
    except BlockingIOError:
        return False
    return True


def _whole_file() -> bytes:
    return struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def lock_record(directory: Path) -> LockRecord | None:
    """What the last runner of this run wrote; None where there was none. Raises FileRefused, OSError."""
    try:
        content = read_own_file(directory / LOCK_NAME, RECORD_BYTES).content
        return LockRecord.model_validate_json(content.rstrip(b"\0 "))
    except (FileNotFoundError, ValidationError):
        return None


def living_runner(directory: Path) -> ProcessIdentity | None:
    """The run's runner, where one is alive. Raises FileRefused, OSError."""
    record = lock_record(directory)
    if record is None or not record.holder.alive:
        return None
    return record.holder if lock_is_held(directory / LOCK_NAME) else None


def lock_is_held(path: Path) -> bool:
    """Whether any process holds the lock on the file. Raises OSError.

    This is asked without taking the lock for a moment, as flock(2) would have it: who looks may be
    stopped in that moment, and would keep the run from ever being taken on again.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _whole_file())
    finally:
        os.close(descriptor)
    return bool(struct.unpack(FLOCK, answer)[0] != fcntl.F_UNLCK)


def send_signal(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal exactly this process; False where it is gone. Raises OSError where that is not allowed."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        return _send_by_number(process, number)
    try:
        # The descriptor is of whoever had the number just now: only then look who that is.
        if not process.alive:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _send_by_number(process: ProcessIdentity, number: signal.Signals) -> bool:
    """For kernels before 5.3, which have no pidfd_open(2)."""
    if not process.alive:
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True
