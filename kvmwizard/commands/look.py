"""Looking at runs: one's own, and as root everybody's."""

import os
import pwd
import stat
from pathlib import Path

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State
from kvmwizard.job import become
from kvmwizard.paths import directory_option
from kvmwizard.words import Words, say

USUAL_DIRECTORY = ".local/state/kvmwizard"
"""Below a home directory (XDG base directory specification), where nothing else is set."""


def state_to_look_at(options: Options) -> State:
    """The state directory that was asked for, to be read and not changed. Raises CommandRefused.

    Root may look at anybody's, and does so as its owner, for good: what lies there cannot lead
    root to a file that its owner may not read.
    """
    state = State.of(options)
    try:
        status = state.directory.lstat()
    except FileNotFoundError:
        return state
    except PermissionError as error:
        raise CommandRefused(ExitCode.WRONG_USE, _not_yours(state.directory)) from error
    except OSError:
        # Reading what lies there says what is wrong with it.
        return state
    if os.geteuid() == 0 and status.st_uid != 0:
        _become_owner(status.st_uid, status.st_gid)
    elif status.st_uid != os.geteuid() and _may_hold_runs(state.directory, status):
        raise CommandRefused(ExitCode.WRONG_USE, _not_yours(state.directory))
    return state


def nothing_was_run(directory: Path) -> Words:
    """That there is no run in this state directory; to somebody who called sudo, where their own ones are."""
    own = _directory_of_sudo_s_caller()
    if own is None:
        return say(
            "Nothing has been run yet. To see what would be done: {command}",
            command=f"kvmwizard plan{directory_option(directory)}",
        )
    return say(
        "Root has run nothing yet. What you have run, you see without sudo, or with --state-dir {directory}",
        directory=str(own),
    )


def _may_hold_runs(directory: Path, status: os.stat_result) -> bool:
    """False for a file, and for a directory that everybody may look into, and that has no runs."""
    if not stat.S_ISDIR(status.st_mode):
        return False
    try:
        return (directory / "runs").is_dir()
    except PermissionError:
        return True


def _not_yours(directory: Path) -> Words:
    return say(
        "The runs in {directory} are another user's, and only that user and root see how they stand. "
        "To see them as root, run the same with sudo.",
        directory=str(directory),
    )


def _become_owner(user: int, group: int) -> None:
    try:
        account = pwd.getpwuid(user)
        group, groups = account.pw_gid, os.getgrouplist(account.pw_name, account.pw_gid)
    except KeyError:
        # Of an account that was deleted, the number is left.
        groups = [group]
    become(user, group, groups)


def _directory_of_sudo_s_caller() -> Path | None:
    number = os.environ.get("SUDO_UID", "")
    if os.geteuid() != 0 or not number.isdecimal() or number == "0":
        return None
    try:
        directory = Path(pwd.getpwuid(int(number)).pw_dir, USUAL_DIRECTORY)
        return directory if directory.is_dir() else None
    except (KeyError, OverflowError, OSError):
        return None
