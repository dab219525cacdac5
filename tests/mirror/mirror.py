"""One mirror of everything, on loopback: tarballs with their proofs, listings, and git repositories."""

import subprocess
from pathlib import Path
from typing import Self

from tests.mirror.faults import Fault
from tests.mirror.layout import KERNEL_FOLDER, QEMU_FOLDER, Layout
from tests.mirror.repository import GitDaemon, add_tag
from tests.mirror.server import MirrorServer, Request
from tests.mirror.signing import SigningKey


class Mirror:
    """`with Mirror(folder, key) as mirror:` serves `folder/www`, and `folder/git` once a tag is added."""

    def __init__(self, folder: Path, key: SigningKey, port: int = 0) -> None:
        self.key = key
        self.layout = Layout(folder / "www", key)
        self.server = MirrorServer(self.layout.folder, port)
        self._repositories = folder / "git"
        self._daemon: GitDaemon | None = None

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        if self._daemon is not None:
            self._daemon.close()

    @property
    def kernel_url(self) -> str:
        """For `--kernel-mirror`: below it are v6.x/ and the like."""
        return f"{self.server.url}/{KERNEL_FOLDER}"

    @property
    def qemu_url(self) -> str:
        """For `--qemu-mirror`: below it are qemu-10.1.0.tar.xz and the like."""
        return f"{self.server.url}/{QEMU_FOLDER}"

    @property
    def releases_url(self) -> str:
        """kernel.org's releases.json."""
        return f"{self.server.url}/releases.json"

    @property
    def kernel_git(self) -> str:
        """For `--kernel-git`."""
        return f"{self.git_daemon().url}/linux.git"

    @property
    def qemu_git(self) -> str:
        """For `--qemu-git`."""
        return f"{self.git_daemon().url}/qemu.git"

    @property
    def requests(self) -> list[Request]:
        """All that were made so far."""
        return self.server.requests

    def add_kernel_tag(self, tag: str, tree: Path, *, signed: bool = True) -> None:
        """Tag a tree in linux.git, as `v6.12.104`."""
        self._add_tag("linux.git", tag, tree, signed=signed)

    def add_qemu_tag(self, tag: str, tree: Path, *, signed: bool = True) -> None:
        """Tag a tree in qemu.git, as `v10.1.0`."""
        self._add_tag("qemu.git", tag, tree, signed=signed)

    def add_part(self, name: str, tree: Path) -> tuple[str, str]:
        """A repository beside those two that holds this tree: its address, and its commit."""
        self._add_tag(f"{name}.git", "v1", tree, signed=False)
        repository = self._repositories / f"{name}.git"
        asked = ["git", f"--git-dir={repository}", "rev-parse", "v1^{commit}"]
        said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
        return f"{self.git_daemon().url}/{name}.git", said.strip()

    def git_daemon(self) -> GitDaemon:
        """The daemon, started where it does not run yet."""
        if self._daemon is None:
            self._repositories.mkdir(exist_ok=True)
            self._daemon = GitDaemon.start(self._repositories)
        return self._daemon

    def fault(self, path: str, *faults: Fault) -> None:
        """Let the path misbehave, as `/pub/linux/kernel/v6.x/linux-6.1.tar.xz`."""
        self.server.fault(path, *faults)

    def heal(self, path: str) -> None:
        """Let the path behave again."""
        self.server.heal(path)

    def _add_tag(self, name: str, tag: str, tree: Path, *, signed: bool) -> None:
        self._repositories.mkdir(exist_ok=True)
        add_tag(self._repositories / name, tag, tree, self.key if signed else None)
