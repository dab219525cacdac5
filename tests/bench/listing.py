"""What listing all tags of a repository costs, against git's own listing of them."""

import os
import subprocess
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench.commands import KVMWIZARD, NOTHING, milliseconds
from tests.bench.distance import far_away
from tests.bench.measure import Result, Target, compare, interleaved
from tests.mirror.repository import GitDaemon
from tests.mirror.server import LOOPBACK

TAGS = 5_000
"""About as many as Linux's stable repository has."""
AWAY_SECONDS = 0.05
"""To a server on the same continent and back."""


def listing_results() -> list[Result]:
    """`kvmwizard versions kernel --tags`, less the interpreter's start, over `git ls-remote --tags`.

    The target is for a server as far away as servers are. On loopback git is done before
    any Python program has read in what it needs; that is measured beside it.
    """
    starts = [milliseconds(NOTHING) for _ in range(10)][1:]
    with tempfile.TemporaryDirectory() as folder:
        _make_repository(Path(folder, "linux.git"))
        with GitDaemon.start(Path(folder)) as daemon:
            near = _listed("list-tags-near", "the same on loopback", daemon.url, folder, median(starts))
            with far_away(daemon.port, AWAY_SECONDS) as port:
                address = f"git://{LOOPBACK}:{port}"
                title = f"{TAGS:,} tags from {AWAY_SECONDS * 1000:.0f} ms away, less Python's start"
                far = _listed("list-tags", title, address, folder, median(starts))
    return [replace(far, target=Target(1.3, ""), target_is_on_ratio=True), near]


def _listed(name: str, title: str, server: str, folder: str, start: float) -> Result:
    address = f"{server}/linux.git"
    options = ("--kernel-git", address, "--state-dir", f"{folder}/state")
    ours, theirs = interleaved(
        partial(milliseconds, [*KVMWIZARD, "versions", "kernel", "--tags", *options]),
        partial(milliseconds, ["git", "ls-remote", "--tags", address]),
    )
    return compare(name, title, "ms", ([sample - start for sample in ours], theirs), "git ls-remote")


def _make_repository(path: Path) -> None:
    """A bare repository of one commit with that many tags, packed as servers pack theirs."""
    author = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **author, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*words: str, given: str = "") -> str:
        done = subprocess.run(
            ["/usr/bin/git", f"--git-dir={path}", *words],
            input=given,
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return done.stdout.strip()

    git("init", "--quiet", "--bare")
    commit = git("commit-tree", "-m", "x", git("mktree"))
    numbers = (f"{number // 1000 + 3}.{number // 50 % 20}.{number % 50}" for number in range(TAGS))
    git("update-ref", "--stdin", given="".join(f"create refs/tags/v{each} {commit}\n" for each in numbers))
    git("pack-refs", "--all")
