"""What comes of running `tiny_guest.py`."""

import hashlib
import os
import subprocess

from kvmwizard.host.guest_process import GUEST_PROGRAM, GuestProcess, start_guest
from kvmwizard.host.identity import Identity
from kvmwizard.host.kvm_device import GuestRun
from kvmwizard.host.reading import Reading, Unknown, UnknownReason

GUEST_ARCHITECTURE = "x86_64"
GUEST_SECONDS = 20.0


def guest_program_sha256() -> str:
    """The hash of the program's text, in hexadecimal."""
    return hashlib.sha256(GUEST_PROGRAM.read_bytes()).hexdigest()


def run_guest(seconds: float = GUEST_SECONDS, identity: Identity | None = None) -> Reading[GuestRun]:
    """Run the few-instruction guest and say what came of it.

    Args:
        seconds: after this time the program is killed; it also ends itself after ten.
        identity: run as this account instead of as the caller; only root can.

    Returns:
        The run, or Unknown: NOT_READABLE where the program could not be started,
        else as `finished_guest`.
    """
    try:
        process = start_guest(identity)
    except OSError as error:
        return Unknown(unknown=UnknownReason.NOT_READABLE, detail=str(error))
    return finished_guest(process, seconds)


def finished_guest(process: GuestProcess, seconds: float = GUEST_SECONDS) -> Reading[GuestRun]:
    """Wait for the guest that was started and say what came of it.

    Returns:
        The run, or Unknown: NOT_SHOWN off x86-64, TIMED_OUT after `seconds`,
        NOT_UNDERSTOOD where the program printed no result.
    """
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Unknown(unknown=UnknownReason.TIMED_OUT, detail=f"{seconds:g} seconds")
    if os.uname().machine != GUEST_ARCHITECTURE:
        return Unknown(
            unknown=UnknownReason.NOT_SHOWN, detail=f"the guest is written for {GUEST_ARCHITECTURE}"
        )
    try:
        return parse_guest_output(output.decode(errors="backslashreplace"))
    except ValueError:
        said = (output + errors).decode(errors="backslashreplace").strip()
        return Unknown(
            unknown=UnknownReason.NOT_UNDERSTOOD, detail=said or f"ended with {process.returncode}"
        )


def parse_guest_output(text: str) -> GuestRun:
    """The run that the program printed. Raises ValueError where the text is no such result."""
    return GuestRun.model_validate_json(text)
