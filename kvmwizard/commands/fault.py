"""Keeps the details of a fault of ours, so that they can be attached to a report."""

import os
import sys
import time
import traceback
from pathlib import Path

from kvmwizard import __version__
from kvmwizard.paths import directory_option, private_directory, state_directory, write_atomically
from kvmwizard.words import Words, say


def status_command(chosen: Path | None) -> str:
    """What shows how a run stands; whatever went wrong, this does not."""
    try:
        option = "" if chosen is None else directory_option(state_directory(chosen))
    except OSError:
        # A relative path, and the directory that it is relative to is gone.
        option = ""
    return f"kvmwizard status{option}"


def keep_details(chosen: Path | None, error: BaseException) -> Words:
    """Write the error to a file in the state directory; the sentence that says where."""
    details = "".join(traceback.format_exception(error))
    lines = (f"kvmwizard {__version__}", f"Python {sys.version}", " ".join(sys.argv), details)
    name = f"fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        path = private_directory(state_directory(chosen)) / name
        write_atomically(path, "\n".join(lines).encode(errors="backslashreplace"))
    except Exception:  # noqa: BLE001  -- what went wrong before may well be what is wrong here
        # Not even that can be written: the last line says most.
        return say(
            "The details could not be kept in a file. The last of them: {details}",
            details=lines[-1].strip().splitlines()[-1],
        )
    return say("The details are in {path}; please attach that file to a report.", path=str(path))
