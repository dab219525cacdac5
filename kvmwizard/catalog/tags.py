"""The tags of a repository elsewhere, by git's own ls-remote."""

import os
import re
import subprocess

from kvmwizard.catalog.names import Listed
from kvmwizard.catalog.version import parse_version
from kvmwizard.refusal import Refusal
from kvmwizard.words import say

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
"""Linux's stable repository answers with some 300 KB."""

TAG_LINE = re.compile(rb"^[0-9a-f]{40,64}\trefs/tags/(v[0-9][0-9.]*(?:-rc[0-9]+)?)$", re.MULTILINE)
PROTOCOLS = "file:git:http:https:ssh"
LAST_LINES_BYTES = 300
"""Of git's complaint, that are shown."""


class TagsRefused(Refusal):
    """The tags cannot be had; `words` says why."""


def remote_tags(address: str, seconds: float) -> list[Listed]:
    """The versions that a repository has tags of. Raises TagsRefused.

    Asks for no password: a repository that wants one is refused.
    """
    git = ("git", "ls-remote", "--tags", "--refs", "--", address)
    try:
        answer = subprocess.run(
            git,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            env=_environment(),
        )
    except FileNotFoundError as error:
        raise TagsRefused(
            say(
                "The tags of {address} cannot be listed, since git is not installed. Install it, or choose "
                "a release instead of a tag.",
                address=address,
            )
        ) from error
    except subprocess.TimeoutExpired as error:
        raise TagsRefused(
            say(
                "{address} did not list its tags within {seconds} seconds.",
                address=address,
                seconds=round(seconds),
            )
        ) from error
    if answer.returncode != 0:
        complaint = answer.stderr[-LAST_LINES_BYTES:].decode("utf-8", "replace").split()
        raise TagsRefused(
            say("git cannot list the tags of {address}: {error}", address=address, error=" ".join(complaint))
        )
    return tags_in(answer.stdout)


def tags_in(answer: bytes) -> list[Listed]:
    """The versions among the tags of an answer of ls-remote."""
    names = (name.decode("ascii") for name in TAG_LINE.findall(answer[:LARGEST_ANSWER_BYTES]))
    return [Listed(name.removeprefix("v")) for name in names if parse_version(name) is not None]


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
