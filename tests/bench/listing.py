"""What listing all tags of a repository costs, against git's own listing of them."""

import os
import subprocess
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench.commands import KVMWIZARD, NOTHING, milliseconds
from tests.bench.measure import Result, Target, compare, interleaved
from tests.mirror.repository import GitDaemon

TAGS = 5_000
"""About as many as Linux's stable repository has."""


def listing_results() -> list[Result]:
    """`kvmwizard versions kernel --tags`, less the interpreter's start, over `git ls-remote --tags`."""
    with tempfile.TemporaryDirectory() as folder:
        _make_repository(Path(folder, "linux.git"))
        state = Path(folder, "state")
        with GitDaemon.start(Path(folder)) as daemon:
            address = f"{daemon.url}/linux.git"
            ours = [
                *KVMWIZARD,
                "versions",
                "kernel",
                "--tags",
                "--kernel-git",
                address,
                "--state-dir",
                str(state),
            ]
            samples = interleaved(
                partial(milliseconds, ours),
                partial(milliseconds, ["git", "ls-remote", "--tags", address]),
            )
            starts = [milliseconds(NOTHING) for _ in range(10)][1:]
    start = median(starts)
    less = ([sample - start for sample in samples[0]], samples[1])
    result = compare(
        "list-tags", f"{TAGS:,} tags listed, less the interpreter's start", "ms", less, "git ls-remote"
    )
    return [replace(result, target=Target(1.3, ""), target_is_on_ratio=True)]


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
