"""Commands one after the other, each reading what the one before it writes, with how far the first has read.

Their messages go to the step's log. They inherit the step's lock, as what `Job.run` starts
does, which says that the step goes on even when this process was killed.
"""

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.job import FIXED_ENVIRONMENT, note
from kvmwizard.words import say

LOOK_SECONDS = 0.1
LARGEST_OUTPUT_BYTES = 1024 * 1024

Tell = Callable[[int], None]
"""Told how many bytes of its input the first command has read."""


@dataclass(frozen=True)
class Ended:
    """How the commands ended."""

    returncodes: tuple[int, ...]
    output: bytes
    """What the last one wrote on its standard output."""

    @property
    def good(self) -> bool:
        """All of them ended with 0, or were not needed to the end by the one after them."""
        *feeding, last = self.returncodes
        return last == 0 and all(code in {0, -signal.SIGPIPE} for code in feeding)


def run_chain(
    commands: Sequence[Sequence[str]],
    source: IO[bytes] | None = None,
    tell: Tell | None = None,
    directory: Path = Path("/"),
) -> Ended:
    """Run the commands to their end.

    Args:
        commands: at least one argv; each one's standard output is the next one's input.
        source: a file for the first one's standard input; None for nothing.
        tell: called a few times a second.
        directory: where they run.

    Raises:
        FetchRefused: a program is not installed.
        OSError: one cannot be started.
    """
    note("+ " + " | ".join(shlex.join(argv) for argv in commands))
    with tempfile.TemporaryFile() as output:
        started: list[subprocess.Popen[bytes]] = []
        try:
            for place, argv in enumerate(commands):
                before: IO[bytes] | int | None = started[-1].stdout if started else source
                last = place == len(commands) - 1
                started.append(_start(argv, before, output if last else subprocess.PIPE, directory))
                _close_ours(started)
            _wait(started[-1], source, tell)
            returncodes = tuple(process.wait() for process in started)
        finally:
            for process in started:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        output.seek(0)
        return Ended(returncodes, output.read(LARGEST_OUTPUT_BYTES))


def _start(
    argv: Sequence[str], stdin: IO[bytes] | int | None, stdout: IO[bytes] | int, directory: Path
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            argv,
            cwd=directory,
            env=FIXED_ENVIRONMENT,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            close_fds=False,
        )
    except FileNotFoundError as error:
        raise FetchRefused(
            say(
                "{program} is not installed, and this step needs it. Install it with the package manager, "
                "then go on.",
                program=argv[0],
            )
        ) from error


def _close_ours(started: "list[subprocess.Popen[bytes]]") -> None:
    """Let the reader alone hold a pipe's end, so that its writer learns when it goes away."""
    if len(started) > 1 and started[-2].stdout is not None:
        started[-2].stdout.close()


def _wait(process: "subprocess.Popen[bytes]", source: IO[bytes] | None, tell: Tell | None) -> None:
    while True:
        try:
            process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if tell is not None and source is not None:
                # Who inherited the descriptor shares its position.
                tell(os.lseek(source.fileno(), 0, os.SEEK_CUR))
        else:
            return
