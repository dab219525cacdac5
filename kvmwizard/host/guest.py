"""Runs `tiny_guest.py` as a process of its own and reads what it prints."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from kvmwizard.host.host import command_environment
from kvmwizard.host.identity import Identity
from kvmwizard.host.kvm_device import GuestRun
from kvmwizard.host.reading import Reading, Unknown, UnknownReason

GUEST_PROGRAM = Path(__file__).with_name("tiny_guest.py")
SYSTEM_PYTHON = "/usr/bin/python3"
GUEST_ARCHITECTURE = "x86_64"


def guest_program_sha256() -> str:
    """The hash of the program's text, in hexadecimal."""
    return hashlib.sha256(GUEST_PROGRAM.read_bytes()).hexdigest()


def run_guest(seconds: float = 20.0, identity: Identity | None = None) -> Reading[GuestRun]:
    """Run the few-instruction guest and say what came of it.

    Args:
        seconds: after this time the program is killed; it also ends itself after ten.
        identity: run as this account instead of as the caller; only root can.

    Returns:
        The run, or Unknown: TIMED_OUT, NOT_SHOWN off x86-64, NOT_READABLE where
        the program could not be started, NOT_UNDERSTOOD where it printed no result.
    """
    if os.uname().machine != GUEST_ARCHITECTURE:
        return Unknown(
            unknown=UnknownReason.NOT_SHOWN, detail=f"the guest is written for {GUEST_ARCHITECTURE}"
        )
    try:
        process = subprocess.run(
            # From standard input, since another user may not be able to read our files.
            [_interpreter(identity), "-I", "-S", "-"],
            input=GUEST_PROGRAM.read_bytes(),
            capture_output=True,
            cwd="/",
            env=command_environment(),
            timeout=seconds,
            check=False,
            user=identity.user_id if identity else None,
            group=identity.group_id if identity else None,
            extra_groups=identity.group_ids if identity else None,
        )
    except subprocess.TimeoutExpired:
        return Unknown(unknown=UnknownReason.TIMED_OUT, detail=f"{seconds:g} seconds")
    except OSError as error:
        return Unknown(unknown=UnknownReason.NOT_READABLE, detail=str(error))
    try:
        return parse_guest_output(process.stdout.decode(errors="backslashreplace"))
    except ValueError:
        said = (process.stdout + process.stderr).decode(errors="backslashreplace").strip()
        return Unknown(
            unknown=UnknownReason.NOT_UNDERSTOOD, detail=said or f"ended with {process.returncode}"
        )


def parse_guest_output(text: str) -> GuestRun:
    """The run that the program printed. Raises ValueError where the text is no such result."""
    return GuestRun.model_validate_json(text)


def _interpreter(identity: Identity | None) -> str:
    """Ours; for another account the system's, since ours may lie in a home that it cannot enter."""
    return SYSTEM_PYTHON if identity and os.access(SYSTEM_PYTHON, os.X_OK) else sys.executable
