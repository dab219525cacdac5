"""Makes the folder that everything is built in: the builder's own, and nobody else's."""

import os
import pwd
import stat
import subprocess
import threading
from pathlib import Path

from kvmwizard.host.host import command_environment
from kvmwizard.paths import make_parents
from kvmwizard.run.refused import RunRefused
from kvmwizard.words import Words, say

OPEN_MODE, PRIVATE_MODE = 0o755, 0o700
MKDIR_SECONDS = 30.0
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_making = threading.Lock()
"""Steps that begin at once, each in a thread of the runner, want the same folder."""


def builder_ids(builder: str | None) -> tuple[int, int]:
    """User and group of who builds: a user's name, a number without an account, or None for who calls.

    Raises RunRefused for a name that this machine does not know.
    """
    if builder is None or os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if builder.isdigit():
        return int(builder), int(builder)
    try:
        account = pwd.getpwnam(builder)
    except KeyError as error:
        raise RunRefused(
            say(
                "There is no user {user} to build as. "
                "Make a new plan on the page Review (kvmwizard, then Esc).",
                user=builder,
            )
        ) from error
    return account.pw_uid, account.pw_gid


def make_build_folder(folder: Path, builder: str | None) -> None:
    """Make it with mode 0700 where it is missing, and see that it is the builder's alone.

    Folders above it are made with mode 0755, as root where root alone can change what is above
    them. In anybody else's folder root makes nothing: it might be led elsewhere by a link. There the
    builder makes the folder.

    Raises:
        RunRefused: it cannot be made, or is a link, another's, or open to others.
    """
    user, group = builder_ids(builder)
    try:
        with _making:
            if not os.path.lexists(folder):
                _make(folder, user, group)
        status = folder.lstat()
    except OSError as error:
        raise RunRefused(_cannot_make(folder, error.strerror or str(error))) from error
    except subprocess.TimeoutExpired as error:
        silence = say("the file system did not answer for {seconds} seconds", seconds=round(error.timeout))
        raise RunRefused(_cannot_make(folder, silence)) from error
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    if not private or status.st_uid != user:
        raise RunRefused(
            say(
                "{folder} is not a folder that belongs to {builder} alone, and nothing is built where others "
                "could change it. Remove it, set its owner and mode 0700, or choose another build folder.",
                folder=str(folder),
                builder=builder or str(user),
            )
        )


def _make(folder: Path, user: int, group: int) -> None:
    if user == os.geteuid():
        make_parents(folder, OPEN_MODE)
        folder.mkdir(mode=PRIVATE_MODE)
    elif all(_is_roots_alone(each) for each in folder.parents if os.path.lexists(each)):
        make_parents(folder, OPEN_MODE)
        folder.mkdir(mode=PRIVATE_MODE)
        os.chown(folder, user, group, follow_symlinks=False)
    else:
        _make_as(folder, user, group)


def _is_roots_alone(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & WRITABLE_BY_OTHERS


def _make_as(folder: Path, user: int, group: int) -> None:
    made = subprocess.run(
        ["/bin/mkdir", "-p", "-m", f"{PRIVATE_MODE:o}", "--", str(folder)],
        env=command_environment(),
        cwd="/",
        user=user,
        group=group,
        extra_groups=(),
        umask=0o022,
        capture_output=True,
        timeout=MKDIR_SECONDS,
        check=False,
    )
    if made.returncode != 0:
        said = made.stderr.decode(errors="replace").strip()
        raise RunRefused(_cannot_make(folder, said.rpartition(": ")[2] or said))


def _cannot_make(folder: Path, error: str | Words) -> Words:
    return say(
        "The build folder {folder} cannot be made: {error}. Mend that, or choose another build folder.",
        folder=str(folder),
        error=error,
    )
