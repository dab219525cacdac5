"""Git repositories with signed tags, served by git's own daemon on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.mirror.server import LOOPBACK
from tests.mirror.signing import SigningKey

GIT_SECONDS = 300
START_SECONDS = 20.0
STARTS = 5


def add_tag(repository: Path, tag: str, tree: Path, key: SigningKey | None) -> None:
    """Commit a tree to a bare repository, made where it is missing, and tag it; with a key, signed."""
    if not repository.exists():
        _git(["init", "--quiet", "--bare", "--initial-branch=master", str(repository)], None)
    base = [f"--git-dir={repository}", f"--work-tree={tree}"]
    _git([*base, "add", "--all", "--force", "."], key)
    _git([*base, "commit", "--quiet", "--allow-empty", "--message", f"Version {tag}"], key)
    form = ["--annotate"] if key is None else ["--sign", f"--local-user={key.fingerprint}"]
    _git([*base, "tag", *form, "--message", f"Version {tag}", tag], key)


def _git(arguments: list[str], key: SigningKey | None) -> None:
    environment = {
        **(os.environ if key is None else key.environment),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_NAME": "Release Manager",
        "GIT_AUTHOR_EMAIL": "releases@example.org",
        "GIT_COMMITTER_NAME": "Release Manager",
        "GIT_COMMITTER_EMAIL": "releases@example.org",
    }
    subprocess.run(["/usr/bin/git", *arguments], check=True, env=environment, timeout=GIT_SECONDS)


class GitDaemon:
    """`git daemon` for the repositories in a folder; `with GitDaemon.start(folder) as daemon:` ends it."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"git://{LOOPBACK}:{port}"
        """Without a slash at the end; `{url}/linux.git` is a repository."""

    @classmethod
    def start(cls, folder: Path) -> Self:
        """Serve the folder's repositories on a free port."""
        for _ in range(STARTS):
            port = _free_port()
            process = subprocess.Popen(
                [
                    *("/usr/bin/git", "daemon", "--reuseaddr", "--export-all", f"--listen={LOOPBACK}"),
                    *(f"--port={port}", f"--base-path={folder}", str(folder)),
                ],
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            if _listens(process, port):
                return cls(process, port)
        raise RuntimeError("git daemon found no free port")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it and all that it serves."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(START_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return True
        time.sleep(0.02)
    process.terminate()
    process.wait()
    return False
