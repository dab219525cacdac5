"""git, run so that nobody's settings, hooks or questions come into it."""

import os
import re
import selectors
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.job import FIXED_ENVIRONMENT, note, proxy_environment
from kvmwizard.words import say

PROTOCOLS = "https:http:git:ssh:file"
"""What an address may begin with (git(1), GIT_ALLOW_PROTOCOL); by none of them it names a command to run."""

STALL_SECONDS = 240.0
"""How long git may say nothing: a server counts and compresses for minutes, but says so."""

PROGRESS = re.compile(rb"(?:remote: )?([A-Z][a-z]+ [a-z]+): +\d+% \((\d+)/(\d+)\)")
LARGEST_OUTPUT_BYTES = 64 * 1024 * 1024

Tell = Callable[[str, int, int], None]
"""Told git's name for what it does, as `Receiving objects`, how many are done, and of how many."""


class GitFailed(FetchRefused):
    """git could not do it; its own words are in the log."""


@dataclass(frozen=True)
class Git:
    """git with an environment of its own."""

    environment: dict[str, str]
    stall_seconds: float = STALL_SECONDS

    def output(self, repository: Path, *arguments: str) -> bytes:
        """What a command that must succeed writes. Raises GitFailed."""
        argv = self._argv(repository, arguments)
        try:
            done = subprocess.run(
                argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
            )
        except FileNotFoundError as error:
            raise _not_installed() from error
        if done.returncode != 0:
            raise _failed(arguments[0])
        return done.stdout[:LARGEST_OUTPUT_BYTES]

    def succeeds(self, repository: Path, *arguments: str) -> bool:
        """Whether a command that asks something says yes."""
        try:
            self.output(repository, *arguments)
        except GitFailed:
            return False
        return True

    def watch(self, repository: Path, *arguments: str, tell: Tell, index: Path | None = None) -> None:
        """Run a command that takes long, and follow its progress.

        Args:
            repository: the bare repository.
            arguments: the command and its options, with --progress.
            tell: told how far it is.
            index: a file for git's index, where the command needs one.

        Raises:
            GitFailed: it failed, or said nothing for too long.
        """
        argv = self._argv(repository, arguments)
        note("+ " + " ".join(argv))
        environment = (
            self.environment if index is None else {**self.environment, "GIT_INDEX_FILE": str(index)}
        )
        messages, written = os.pipe()
        try:
            process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stderr=written, close_fds=False
            )
        except FileNotFoundError as error:
            os.close(messages)
            raise _not_installed() from error
        finally:
            os.close(written)
        try:
            in_time = _follow(messages, tell, self.stall_seconds)
        finally:
            os.close(messages)
            process.terminate()
            process.wait()
        if not in_time:
            raise GitFailed(
                say(
                    "git got nothing for {seconds} seconds. Try again later, or choose another mirror.",
                    seconds=round(self.stall_seconds),
                )
            )
        if process.returncode != 0:
            raise _failed(arguments[0])

    def _argv(self, repository: Path, arguments: Sequence[str]) -> list[str]:
        return ["git", f"--git-dir={repository}", *arguments]


@contextmanager
def git(stall_seconds: float = STALL_SECONDS) -> Iterator[Git]:
    """Git as the builder, with settings of ours alone, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="kvmwizard-") as name:
        Path(name, ".gitconfig").write_bytes(_SETTINGS)
        environment = {
            **FIXED_ENVIRONMENT,
            **proxy_environment(),
            # Only git looks there; ssh takes the home of the account.
            "HOME": name,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
            "GIT_ALLOW_PROTOCOL": PROTOCOLS,
            "GIT_NO_LAZY_FETCH": "1",
        }
        yield Git(environment, stall_seconds)


_SETTINGS = b"""\
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[fetch]
\tfsckObjects = true
[advice]
\tdetachedHead = false
[http]
\tlowSpeedLimit = 1
\tlowSpeedTime = 60
\tuserAgent = git/kvmwizard
[checkout]
\tworkers = 0
"""
"""`safe.directory`: a repository on this machine that the person names may be another user's, and it is
only read. `fetch.fsckObjects`: what comes is looked at before it is kept."""


def make_repository(git_: Git, path: Path) -> None:
    """A bare repository, made where there is none yet. Raises GitFailed, OSError."""
    if not path.joinpath("HEAD").is_file():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        git_.output(path, "init", "--quiet", "--bare", "--template=")


def _follow(descriptor: int, tell: Tell, stall_seconds: float) -> bool:
    """Pass git's messages on to the log, and tell its progress; False where they stop coming."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        last = time.monotonic()
        while True:
            if not selector.select(1.0):
                if time.monotonic() - last > stall_seconds:
                    return False
                continue
            last = time.monotonic()
            piece = os.read(descriptor, 65536)
            if not piece:
                _say(pending, tell)
                return True
            *lines, pending = re.split(rb"[\r\n]", pending + piece)
            for line in lines:
                _say(line, tell)


def _say(line: bytes, tell: Tell) -> None:
    found = PROGRESS.match(line)
    if found is not None:
        tell(found[1].decode(), int(found[2]), int(found[3]))
    elif line.strip():
        note(line.decode(errors="backslashreplace"))


def _failed(command: str) -> GitFailed:
    return GitFailed(
        say("git {command} failed: the log says why. Try again, or choose another mirror.", command=command)
    )


def _not_installed() -> FetchRefused:
    return FetchRefused(
        say("git is not installed, and this step needs it. Install it with the package manager, then go on.")
    )
