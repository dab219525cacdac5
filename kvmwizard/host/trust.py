"""Which programs root may run merely to ask for their version."""

import os
import stat
from pathlib import Path


def safe_to_run(path: str) -> bool:
    """Whether running the program cannot lend root's rights to another account.

    True for anyone but root, who lends nobody more than they have. For root,
    the program, every link to it and every directory above them must be root's,
    and no place that others may write to, save a sticky directory such as /tmp
    (inode(7)).
    """
    if os.geteuid() != 0:
        return True
    try:
        program = Path(path).absolute()
        real = Path(os.path.realpath(program, strict=True))
        places = {real, *real.parents}
        while True:
            places.update(program.parents)
            if not program.is_symlink():
                break
            program = program.parent / program.readlink()
        return all(_is_roots(each.stat()) for each in places)
    except OSError:
        return False


def _is_roots(status: os.stat_result) -> bool:
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0)
    return status.st_uid == 0 and (bool(sticky) or not others)
