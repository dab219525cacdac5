"""The QEMU that --qemu names: what is no program is refused, instead of being proved to be broken."""

import os
import shutil
import stat
from pathlib import Path

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.host.host import command_environment
from kvmwizard.words import Words, say


def named_qemu(given: str) -> str:
    """The program's absolute path; a name without a slash is looked for as a shell does, too.

    Absolute, since the proof runs it in a directory of its own. Raises CommandRefused.
    """
    found = given if "/" in given else shutil.which(given, path=command_environment()["PATH"]) or given
    try:
        path = Path(found).absolute()
        problem = _problem(path, path.stat())
    except (FileNotFoundError, NotADirectoryError):
        problem = say("There is no program {path}. Give --qemu the path of a QEMU.", path=found)
    except OSError as error:
        problem = say(
            "{path} cannot be used: {error}. Give --qemu the path of a QEMU.",
            path=found,
            error=error.strerror or str(error),
        )
    if problem is not None:
        raise CommandRefused(ExitCode.WRONG_USE, problem)
    return str(path)


def _problem(path: Path, status: os.stat_result) -> Words | None:
    if stat.S_ISDIR(status.st_mode):
        return say("{path} is a folder, no program. Give --qemu the path of a QEMU.", path=str(path))
    if not stat.S_ISREG(status.st_mode) or not os.access(path, os.X_OK):
        return say(
            "{path} is no program: it cannot be executed. Give --qemu the path of a QEMU.", path=str(path)
        )
    return None
