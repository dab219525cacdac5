"""Ends the wizard that holds a session, for somebody whose connection to it is gone.

A terminal that vanishes without a word, as with a laptop that is closed, is missed by an SSH server only
after minutes or hours: until then the wizard on it lives, and holds the session.
"""

import os
import signal
import time
from pathlib import Path

from kvmwizard.run.liveness import ProcessIdentity, boot_id, process_start, send_signal
from kvmwizard.session import SessionStore

ASKED_SECONDS = 3.0
"""How long it may take to end when it is asked to; on a terminal that takes nothing more it never does."""
KILLED_SECONDS = 3.0
LOOK_SECONDS = 0.05


def end_holder(sessions: SessionStore) -> bool:
    """End the process that holds the session, so that it can be taken; False where somebody still has it.

    Nothing is lost by that: an answer is saved when it is given, and a run is a process of its own.
    Raises SessionRefused.
    """
    for number, seconds in ((signal.SIGTERM, ASKED_SECONDS), (signal.SIGKILL, KILLED_SECONDS)):
        holder = _holder(sessions)
        if holder is not None:
            send_signal(holder, number)
        if _is_free_within(sessions, seconds):
            return True
    return False


def _is_free_within(sessions: SessionStore, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not sessions.lock():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    sessions.unlock()
    return True


def _holder(sessions: SessionStore) -> ProcessIdentity | None:
    """The process that the lock names, if it has the lock open: the number alone may be another's by now."""
    number = sessions.holder()
    started = process_start(number) if number is not None else None
    if number is None or started is None or not _has_open(number, sessions.lock_path):
        return None
    return ProcessIdentity(pid=number, process_start=started, boot_id=boot_id())


def _has_open(number: int, path: Path) -> bool:
    try:
        wanted = path.stat()
        return any(os.path.samestat(file.stat(), wanted) for file in Path(f"/proc/{number}/fd").iterdir())
    except OSError:
        # Another user's, or gone by now.
        return False
