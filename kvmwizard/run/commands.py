"""Commands that the runner carries out as the invoking user.

Each is an argv without a shell, in a session of its own, with a fixed
environment, no standard input, and its output straight in the log. A lock that
every process of the command inherits tells a later runner that the command
still goes on, even after this runner was killed: nothing runs twice.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from kvmwizard.host.host import command_environment
from kvmwizard.run.liveness import (
    ProcessIdentity,
    boot_id,
    lock_holders_outside,
    lock_is_held,
    process_groups,
    process_start,
    send_signal,
    take_lock,
)

STOP_SECONDS = 10.0
"""How long a command may take to end on SIGTERM before SIGKILL."""
KILL_SECONDS = 10.0
"""How long it may take to be gone after SIGKILL; what waits for a broken disk never is."""
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class CommandFiles:
    """Where one step's commands write."""

    log: Path
    lock: Path
    """Held by every process of the step's commands; its text is the identity of the first."""


def open_for_appending(path: Path) -> int:
    """A descriptor that only ever appends, mode 0600. Raises OSError."""
    # Not blocking, since a FIFO in the file's place would be waited for; it means nothing to a file.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def note(path: Path, line: str) -> None:
    """Append one line of ours to a log. Raises OSError."""
    descriptor = open_for_appending(path)
    try:
        os.write(descriptor, line.encode(errors="backslashreplace") + b"\n")
    finally:
        os.close(descriptor)


class Command:
    """One command that runs."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], files: CommandFiles) -> None:
        """Start it. Raises OSError where it cannot be started."""
        self._files = files
        self._lock = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        log = open_for_appending(files.log)
        try:
            take_lock(self._lock, wait=True)
            # Should the runner be killed before it names the new process, nobody must take an old one for it.
            os.ftruncate(self._lock, 0)
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**command_environment(), **environment},
                cwd="/",
                start_new_session=True,
                pass_fds=(self._lock,),
            )
        except OSError:
            os.close(self._lock)
            raise
        finally:
            os.close(log)
        try:
            self._write_identity()
        except OSError:
            # What nobody could stop later must not go on while its step is called failed.
            os.close(self._lock)
            self.stop()
            self._process.wait()
            raise

    def wait(self) -> int:
        """How it ended: its exit code, or minus the signal's number.

        What it leaves behind, as a compiler whose worker the kernel killed for want of memory, is ended.
        """
        returncode = self._process.wait()
        os.close(self._lock)
        if lock_is_held(self._files.lock):
            _stop_session(self._process.pid, self._files.lock, lambda: lock_is_held(self._files.lock))
        return returncode

    def stop(self) -> None:
        """End the whole session, gently first; `wait` then returns.

        Its first process may be gone long before the rest: make removes what is half made only
        if it is given the time.
        """
        lock = self._files.lock
        _stop_session(self._process.pid, lock, lambda: self._process.poll() is None or lock_is_held(lock))

    def _write_identity(self) -> None:
        started = process_start(self._process.pid)
        if started is not None:
            identity = ProcessIdentity(pid=self._process.pid, process_start=started, boot_id=boot_id())
            os.pwrite(self._lock, identity.model_dump_json().encode("ascii"), 0)


def wait_for_leftover(files: CommandFiles, stop_asked: Callable[[], bool]) -> None:
    """Wait until nothing is left of a command whose runner was killed; end it if a stop is asked for.

    A server that outlives it, and would never end, is ended as `Command.wait` does. How the command
    ended is not to be learnt: the step's conditions tell whether it did its work.
    """
    while lock_is_held(files.lock):
        if stop_asked():
            _stop_leftover(files.lock)
            return
        if _session_is_over(files.lock):
            _stop_leftover(files.lock)
        time.sleep(LOOK_SECONDS)


def _first_process(lock: Path) -> ProcessIdentity | None:
    """What the command began with; None where the runner was killed before it could write that."""
    try:
        return ProcessIdentity.model_validate_json(lock.read_bytes())
    except ValidationError:
        return None


def _session_is_over(lock: Path) -> bool:
    """Whether the command has ended, so that only what left its session can still hold its lock."""
    first = _first_process(lock)
    return first is not None and process_start(first.pid) is None and not process_groups(first.pid)


def _stop_leftover(lock: Path) -> None:
    first = _first_process(lock)
    if first is None:
        return
    # No process gets the number of one that is gone while any of that one's session is left.
    gone = first.boot_id == boot_id() and process_start(first.pid) is None
    if first.alive or gone:
        _stop_session(first.pid, lock, lambda: lock_is_held(lock))


def _stop_session(session: int, lock: Path, alive: Callable[[], bool]) -> None:
    """End every process group of a session, and whoever left it with the session's lock.

    ninja gives each of its commands a group of its own; a compiler's cache may start a server,
    as sccache does, which makes itself a session.
    """
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        groups, outside = process_groups(session), lock_holders_outside(session, lock)
        if not groups and not outside:
            return
        for group in groups:
            # Gone by now, or another user's, as of sudo's within a build.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        for process in outside:
            with contextlib.suppress(PermissionError):
                send_signal(process, number)
        # On a busy machine even SIGKILL takes its time, and what is begun next must find nobody at work.
        _wait_while(alive, seconds)


def _wait_while(alive: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while alive() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
