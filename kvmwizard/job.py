"""A worker process: one action of a plan, carried out as the builder.

The runner starts `python -m MODULE --progress FILE --log FILE [--as USER:GROUP]`
with the action as JSON in the last argument; what the worker and its children
print is the step's log. Light, since the process that downloads must stay small.
"""

import argparse
import contextlib
import errno
import json
import os
import shlex
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say

REFUSED = 1
TELL_SECONDS = 0.2
"""How often progress is told at most."""

FIXED_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""What commands run with: nothing may depend on who runs them."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
"""What a person behind a proxy has set, in small letters or capitals (curl(1), ENVIRONMENT)."""

DISK_FULL = say("The disk is full. Make room (df -h shows where it is missing), then retry.")

Action = dict[str, Any]


class Progress:
    """Tells whoever watches how far the work has come: JSON lines, appended.

    Each has the seconds since the machine's start: who sets the clock must not change the time left.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told = 0.0
        self._guard = threading.Lock()

    def tell(
        self, words: Words, done: float | None = None, total: float | None = None, unit: str = ""
    ) -> None:
        """Say what is going on; too soon after the last time, nothing.

        Args:
            words: what is going on.
            done: how much is done, of `total`.
            total: None where nobody can say.
            unit: `bytes`, `steps` or nothing.
        """
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS or (done is not None and done == total):
            self._told = now
            line = {"time": now, "words": asdict(words), "done": done, "total": total, "unit": unit}
            self._write(line)

    def refuse(self, refusal: Refusal) -> None:
        """Say why the work cannot be done; the last thing that is told."""
        self._write({"time": time.monotonic(), "refused": asdict(refusal.words), "code": refusal.code})

    def _write(self, line: dict[str, Any]) -> None:
        with self._guard:
            os.write(self._descriptor, json.dumps(line).encode("ascii") + b"\n")


@dataclass(frozen=True)
class Job:
    """What one worker has to do, and whom it tells."""

    action: Action
    progress: Progress
    log: int
    """A descriptor that reads the step's log, which this process and its children write; -1 without one."""

    def run(
        self, argv: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command whose output goes straight to the step's log. Raises OSError.

        It gets a fixed search path and the C locale, no standard input, and the
        step's lock, which says that the step goes on even when this process was killed.
        """
        note("+ " + shlex.join(argv))
        return subprocess.run(
            argv,
            cwd=directory,
            env={**FIXED_ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            close_fds=False,
            check=False,
        )


Work = Callable[[Job], None]
"""Does one kind of action. Raises Refusal, OSError."""


def run_job(argv: Sequence[str], work: dict[str, Work], prepare: Callable[[], None] | None = None) -> int:
    """Do the action that the arguments name; for a module's `main`.

    Args:
        argv: as the runner gives them, see above.
        work: what does which kind of action.
        prepare: called before root's rights are given up, for what the builder may not read: imports,
            certificates.

    Returns:
        The exit code: 0 done; 1 not, and the last line of the progress file says why.
    """
    options = _options(argv)
    # It was for finding this module; what is built has interpreters of its own.
    os.environ.pop("PYTHONPATH", None)
    progress = Progress(_opened(options.progress, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    log = _opened(options.log, os.O_RDONLY) if options.log else -1
    os.umask(0o077)
    try:
        if prepare is not None:
            prepare()
        if options.builder is not None:
            from kvmwizard.job_assets import share_assets  # noqa: PLC0415  -- for root alone, and not for who lists runs

            user, group = map(int, options.builder.split(":"))
            share_assets(user, group)
            become(user, group)
        action = json.loads(options.action)
        work[action["kind"]](Job(action, progress, log))
    except Exception as error:  # noqa: BLE001  -- whatever it is, the person must learn why the step ended
        refusal = _why(error)
    else:
        return 0
    # On a full disk neither may be heard; the runner then sees for itself that it is full.
    with contextlib.suppress(OSError):
        note(refusal.words.english)
    with contextlib.suppress(OSError):
        progress.refuse(refusal)
    return REFUSED


def note(line: str) -> None:
    """Write a line of ours to the step's log, which is this process's output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _why(error: Exception) -> Refusal:
    return error if isinstance(error, Refusal) else Refusal(_unforeseen(error))


def _unforeseen(error: Exception) -> Words:
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, subprocess.TimeoutExpired):
        return say(
            "{program} gave no answer for {seconds} seconds. Retry; where other programs keep the machine "
            "busy, let them end first.",
            program=shlex.join(map(str, error.cmd)),
            seconds=round(error.timeout),
        )
    traceback.print_exception(error)
    return say(
        "kvmwizard met a mistake of its own in this step: {detail}. Retry; if it happens again, please "
        "report it with the step's log.",
        detail=repr(error),
    )


def _of_the_system(error: OSError) -> Words:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DISK_FULL
    if error.filename is not None:
        return say(
            "{path} cannot be used: {error}. Let the user who builds read and write there, then retry.",
            path=str(error.filename),
            error=error.strerror or str(error),
        )
    return say("The system refused: {detail}. Mend that, then retry.", detail=str(error))


def proxy_environment() -> dict[str, str]:
    """The proxies that the person set, for what asks servers."""
    names = (name for proxy in PROXIES for name in (proxy, proxy.upper()))
    return {name: os.environ[name] for name in names if name in os.environ}


def become(user: int, group: int, groups: Sequence[int] = ()) -> None:
    """Give up root's rights for good. Raises OSError."""
    os.setgroups(groups)
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--progress", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--as", dest="builder", metavar="USER:GROUP")
    parser.add_argument("action", metavar="JSON")
    return parser.parse_args(argv)


def _opened(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def main_exit(main: Callable[[Sequence[str]], int]) -> None:
    """Run a worker's `main` with this process's arguments, and end with its exit code."""
    sys.exit(main(sys.argv[1:]))
