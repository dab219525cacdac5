"""Looking over a tree that came from elsewhere, before anything uses it.

GNU tar and git keep what they write below the folder they are given; this is the second
look, by lstat alone, that nothing in the tree is other than a plain file, a folder or a
link that stays inside.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.words import Words, say

OWNER_USES = stat.S_IRWXU
SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID


class TreeRefused(FetchRefused):
    """A tree holds what no source has; `words` says what and where."""


@dataclass(frozen=True)
class Swept:
    """What is in a tree that is in order."""

    entries: int
    bytes: int
    """Of all files together."""


def sweep(tree: Path) -> Swept:
    """Look at every entry of a tree. Raises TreeRefused for the first that no source has, OSError."""
    real = os.path.realpath(tree)
    entries = size = 0
    linked: dict[tuple[int, int], tuple[int, str]] = {}
    seen: Counter[tuple[int, int]] = Counter()
    for entry, status in _walk(real):
        entries += 1
        words = _strange(entry.path, status, real)
        if words is not None:
            raise TreeRefused(words)
        if stat.S_ISREG(status.st_mode):
            size += status.st_size
            if status.st_nlink > 1:
                linked[status.st_dev, status.st_ino] = (status.st_nlink, entry.path)
                seen[status.st_dev, status.st_ino] += 1
    for inode, (links, path) in linked.items():
        if seen[inode] != links:
            raise TreeRefused(
                say(
                    "{path} is one and the same file as another outside of the source tree. {todo}",
                    **_at(path, real),
                )
            )
    return Swept(entries, size)


def _walk(folder: str) -> Iterator[tuple["os.DirEntry[str]", os.stat_result]]:
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for entry in found:
                status = entry.stat(follow_symlinks=False)
                yield entry, status
                if stat.S_ISDIR(status.st_mode):
                    if status.st_mode & OWNER_USES != OWNER_USES:
                        Path(entry.path).chmod(OWNER_USES)
                    waiting.append(entry.path)


def _strange(path: str, status: os.stat_result, tree: str) -> Words | None:
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        target = str(Path(path).readlink())
        if _leads_out(path, target, tree):
            return say(
                "{path} is a link that leads out of the source tree, to {target}. {todo}",
                target=target,
                **_at(path, tree),
            )
        return None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return say("{path} is a device, a pipe or a socket, which no source has. {todo}", **_at(path, tree))
    if mode & SPECIAL_BITS:
        return say(
            "{path} would run with the rights of its owner or group, which no source needs. {todo}",
            **_at(path, tree),
        )
    return None


def _at(path: str, tree: str) -> dict[str, str | Words]:
    todo = say("The source was not used. Get it from another mirror, or name another tree.")
    return {"path": str(Path(path).relative_to(tree)), "todo": todo}


def _leads_out(path: str, target: str, tree: str) -> bool:
    """Absolute, even to where the tree is now, or by way of `..` or of other links.

    A link that leaves the tree and comes back by its name is out, too: the tree gets another name.
    """
    depth = len(Path(path).relative_to(tree).parts) - 1
    for part in target.split("/"):
        depth += {"..": -1, "": 0, ".": 0}.get(part, 1)
        if depth < 0:
            return True
    return target.startswith("/") or os.path.commonpath((tree, os.path.realpath(path))) != tree


def remove_tree(path: Path) -> None:
    """Remove a tree of ours, if it is there, whatever modes its folders have. Raises OSError."""
    try:
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return
    except PermissionError:
        path.chmod(OWNER_USES)
        entries = list(os.scandir(path))
    if path.lstat().st_mode & OWNER_USES != OWNER_USES:
        path.chmod(OWNER_USES)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(Path(entry.path))
        else:
            Path(entry.path).unlink()
    path.rmdir()
