"""Starts `tiny_guest.py` as a process of its own; imports little, so that it can be started early."""

import os
import subprocess
import sys
from pathlib import Path

from kvmwizard.host.identity import Identity

GUEST_PROGRAM = Path(__file__).with_name("tiny_guest.py")
SYSTEM_PYTHON = "/usr/bin/python3"

GuestProcess = subprocess.Popen[bytes]


def start_guest(identity: Identity | None = None) -> GuestProcess:
    """Start the few-instruction guest, as `identity` if one is given, which only root can.

    Raises:
        OSError: it could not be started.
    """
    # Its text from standard input, since another user may not be able to read our files.
    with GUEST_PROGRAM.open("rb") as program:
        return subprocess.Popen(
            [_interpreter(identity), "-I", "-S", "-"],
            stdin=program,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"LC_ALL": "C"},
            user=identity.user_id if identity else None,
            group=identity.group_id if identity else None,
            extra_groups=identity.group_ids if identity else None,
        )


def _interpreter(identity: Identity | None) -> str:
    """Ours; for another account the system's, since ours may lie in a home that it cannot enter."""
    return SYSTEM_PYTHON if identity and os.access(SYSTEM_PYTHON, os.X_OK) else sys.executable
