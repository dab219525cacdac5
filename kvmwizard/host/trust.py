"""Which programs root may run merely to ask for their version."""

import os
import stat
from pathlib import Path


def safe_to_run(path: str) -> bool:
    """Whether running the program cannot lend root's rights to another account.

    True for anyone but root, who lends nobody more than they have. For root,
    the program and every directory above it must be root's, and no place that
    anyone may write to, save a sticky directory such as /tmp (inode(7)).
    """
    if os.geteuid() != 0:
        return True
    try:
        program = Path(path).resolve(strict=True)
        return all(_is_roots(each.stat()) for each in (program, *program.parents))
    except OSError:
        return False


def _is_roots(status: os.stat_result) -> bool:
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    return status.st_uid == 0 and (bool(sticky) or not status.st_mode & stat.S_IWOTH)
