"""The command line's beginning, which imports next to nothing: see `kvmwizard.commands`."""

import gc
import os
import sys
from collections.abc import Sequence

from kvmwizard import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, by default the process's own, and return the exit code.

    0 good, 1 not ready or failed, 2 wrong use or unreadable input, 3 stopped and resumable.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    # Scripts ask for this often: answered before anything is imported.
    if words == ["--version"] and _told_version():
        return 0
    # What is imported stays to the end, so looking through it for garbage again and again is in vain:
    # a tenth of a start. `run_command_line` turns the collector on again.
    gc.disable()
    # We use no plugins of pydantic's; looking for some reads the description of every package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from kvmwizard.commands.entry import run_command_line  # noqa: PLC0415  -- costs a tenth of a second

        return run_command_line(words)
    except ModuleNotFoundError as error:
        # In English alone, since translating needs what may be missing.
        sys.stderr.write(
            f"kvmwizard needs the Python package {error.name}, which {sys.executable} does not have. "
            "In a checkout, make run installs all that is needed; otherwise install kvmwizard anew.\n"
        )
        return 1
    except KeyboardInterrupt:
        return 1


def _told_version() -> bool:
    """Whether it could be written; why not, the command line's usual way says."""
    try:
        os.write(1, f"kvmwizard {__version__}\n".encode())
    except OSError:
        return False
    return True
