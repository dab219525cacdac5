"""The tags of a repository elsewhere, by git's own ls-remote."""

import contextlib
import os
import re
import shutil
import signal
import subprocess

from kvmwizard.catalog.listed import Listed
from kvmwizard.refusal import Refusal
from kvmwizard.words import say

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
"""Linux's stable repository answers with some 300 KB."""

TAG = re.compile(r"\trefs/tags/v([0-9]{1,4}(?:\.[0-9]{1,4}){1,3}(?:-rc[0-9]{1,3})?)$", re.MULTILINE)
"""Behind the hash of each line; without a hash to begin with, it is searched for at once."""
PROTOCOLS = "file:git:http:https:ssh"
LAST_LINES_BYTES = 300
"""Of git's complaint, that are shown."""


class TagsRefused(Refusal):
    """The tags cannot be had; `words` says why."""


class TagsQuestion:
    """git, asked for the tags of a repository; it is at work from the start on.

    It asks for no password: a repository that wants one is refused.
    """

    def __init__(self, address: str) -> None:
        """Raises TagsRefused where there is no git."""
        self.address = address
        try:
            self._git = subprocess.Popen(
                (shutil.which("git") or "/usr/bin/git", "ls-remote", "--tags", "--refs", "--", address),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(),
                # A terminal is there for ssh to ask on; without one it does not.
                start_new_session=True,
            )
        except OSError as error:
            raise TagsRefused(
                say(
                    "The tags of {address} cannot be listed, since git cannot be started. Install git, or "
                    "choose a release instead of a tag.",
                    address=address,
                )
            ) from error

    def answer(self, seconds: float) -> list[Listed]:
        """The versions that the repository has tags of. Raises TagsRefused."""
        try:
            output, errors = self._git.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            self.give_up()
            raise TagsRefused(
                say(
                    "{address} did not list its tags within {seconds} seconds.",
                    address=self.address,
                    seconds=round(seconds),
                )
            ) from error
        if self._git.returncode != 0:
            complaint = " ".join(errors[-LAST_LINES_BYTES:].decode("utf-8", "replace").split()).rstrip(".")
            raise TagsRefused(
                say("git cannot list the tags of {address}: {error}.", address=self.address, error=complaint)
            )
        return tags_in(output)

    def give_up(self) -> None:
        """End git and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._git.pid, signal.SIGKILL)
        self._git.communicate()


def tags_in(answer: bytes) -> list[Listed]:
    """The versions among the tags of an answer of ls-remote."""
    return [Listed(name) for name in TAG.findall(answer[:LARGEST_ANSWER_BYTES].decode("ascii", "replace"))]


def _environment() -> dict[str, str]:
    """The person's own, for proxies and keys, but with nobody to ask for a password."""
    return {
        **os.environ,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "GIT_ALLOW_PROTOCOL": PROTOCOLS,
    }
