"""Starts the root helper: by sudo on the terminal, or directly where root calls.

The command that sudo logs names the hash of the helper's text and of the plan.
Both travel over standard input, so that root opens no file of the user's.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kvmwizard.host.host import command_environment
from kvmwizard.paths import directory_option
from kvmwizard.plan.model import Plan, canonical_json, plan_digest
from kvmwizard.words import Words, say

HELPER_PROGRAM = Path(__file__).with_name("root_helper.py")
BOOTSTRAP = (
    "import sys,hashlib;"
    "i=sys.stdin.buffer;t=i.read(int(i.readline()));"
    "h=sys.argv.pop(1);"
    "hashlib.sha256(t).hexdigest()==h or sys.exit('the text is not the one named');"
    "exec(compile(t,'root_helper','exec'),{'__name__':'__main__'})"
)
PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python", "/usr/local/bin/python3")
BY_HAND = "kvmwizard plan --format sh"
ASK_SECONDS = 600.0
"""How long sudo may ask: as Debian builds it, it never gives up by itself (sudoers(5), passwd_timeout)."""
DIRECT_SECONDS = 30.0
END_SECONDS = 5.0
"""How long sudo may take to end on SIGTERM, when it switches the terminal's echo on again."""


@dataclass(frozen=True)
class RootHelperRefused:
    """Why there is no root helper; `words` says what to do instead, too."""

    words: Words


def start_as_root(plan: Plan, run_id: str, by_hand: str = BY_HAND) -> RootHelperRefused | None:
    """Start the helper where this process is root itself; `by_hand` as in `command_by_hand`."""
    python = system_python()
    if python is None:
        return no_python(by_hand)
    return _started(_run(helper_argv(python, plan, run_id), plan, DIRECT_SECONDS), plan, by_hand)


def start_by_sudo(plan: Plan, run_id: str, ask: bool, by_hand: str = BY_HAND) -> RootHelperRefused | None:
    """Start the helper by sudo, which asks for the password on the terminal where `ask`."""
    python = system_python()
    if python is None:
        return no_python(by_hand)
    sudo = shutil.which("sudo", path=command_environment()["PATH"])
    if sudo is None:
        return RootHelperRefused(
            say(
                "There is no sudo on this machine. Run kvmwizard as root, or write the plan as a script with "
                "{command}, read it, and run it as root.",
                command=by_hand,
            )
        )
    options = () if ask else ("-n",)
    argv = (sudo, *options, "--", *helper_argv(python, plan, run_id))
    return _started(_run(argv, plan, ASK_SECONDS), plan, by_hand, asked=ask)


def command_by_hand(state_directory: Path) -> str:
    """What writes the plan of this directory's answers as a script, for who has no other way to root."""
    return f"kvmwizard{directory_option(state_directory)} plan --format sh"


def helper_argv(python: str, plan: Plan, run_id: str) -> tuple[str, ...]:
    """The command that becomes the helper."""
    helper = hashlib.sha256(HELPER_PROGRAM.read_bytes()).hexdigest()
    return (python, "-I", "-S", "-c", BOOTSTRAP, helper, plan_digest(plan), run_id)


def payload(plan: Plan) -> bytes:
    """What the helper reads: the length of its text, its text, and the plan."""
    text = HELPER_PROGRAM.read_bytes()
    return b"%d\n" % len(text) + text + canonical_json(plan)


def system_python() -> str | None:
    """An interpreter that only root can have changed, all the way from / on; None where there is none."""
    # Of our own interpreter we know where its library lies; it, too, becomes root's program.
    ours = (sys.executable,) if sys.executable and _is_roots(Path(os.__file__).resolve()) else ()
    for candidate in (*PYTHONS, *ours):
        if os.access(candidate, os.X_OK) and _is_roots(Path(candidate).resolve()):
            return str(Path(candidate).resolve())
    return None


def no_python(by_hand: str) -> RootHelperRefused:
    """For machines without an interpreter that root may trust."""
    return RootHelperRefused(
        say(
            "There is no Python that root alone can change, such as {python}, so nothing is run as root. "
            "Install the distribution's python3, or write the plan as a script with {command}, read it, and "
            "run it as root.",
            python=PYTHONS[0],
            command=by_hand,
        )
    )


def _is_roots(path: Path) -> bool:
    for each in (path, *path.parents):
        status = each.stat()
        if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
    return True


@dataclass(frozen=True)
class _Ended:
    returncode: int
    output: str
    errors: str


def _run(argv: Sequence[str], plan: Plan, seconds: float) -> _Ended:
    """Run to its end, feeding the helper's text and plan, and passing on what is said on standard error.

    It is told to end after `seconds`, and killed if it does not.
    """
    environment = {
        **command_environment(),
        **{name: os.environ[name] for name in ("TERM", "LANG", "HOME") if name in os.environ},
    }
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
        )
    except OSError as error:
        return _Ended(1, "", str(error))
    errors: list[bytes] = []
    threads = (
        threading.Thread(target=_feed, args=(process.stdin, payload(plan)), daemon=True),
        threading.Thread(target=_pass_on, args=(process.stderr, errors), daemon=True),
    )
    enders = (
        threading.Timer(seconds, process.terminate),
        threading.Timer(seconds + END_SECONDS, process.kill),
    )
    for thread in (*threads, *enders):
        thread.start()
    try:
        output = process.stdout.read() if process.stdout is not None else b""
        returncode = process.wait()
    except KeyboardInterrupt:
        # sudo got the same key, and ends too.
        output, returncode = b"", process.wait()
    finally:
        for ender in enders:
            ender.cancel()
    threads[1].join(1.0)
    return _Ended(returncode, output.decode(errors="replace"), b"".join(errors).decode(errors="replace"))


def _feed(stream: IO[bytes], content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(content)


def _pass_on(stream: IO[bytes], kept: list[bytes]) -> None:
    for line in stream:
        kept.append(line)
        with contextlib.suppress(OSError):
            os.write(2, line)


def _started(ended: _Ended, plan: Plan, by_hand: str, *, asked: bool = True) -> RootHelperRefused | None:
    answer = _answer(ended.output)
    if "listening" in answer:
        return None
    if "refused" in answer:
        return RootHelperRefused(
            say(
                "The root helper refused the plan ({code}: {detail}). "
                "Make a new plan on the page Review (kvmwizard, then Esc). If that is refused "
                "too, write it as a script with {command}, read it, and run it as root.",
                code=answer["refused"],
                detail=answer.get("detail") or "-",
                command=by_hand,
            )
        )
    if plan.undoes is not None:
        return RootHelperRefused(
            say(
                "Nothing was done as root, and nothing was taken back: {reason}. Try again.",
                reason=_reason(ended),
            )
        )
    if not asked:
        return RootHelperRefused(
            say(
                "Nothing was done as root: {reason}. Try again in a terminal, where sudo can ask, or write "
                "the plan as a script with {command}, read it, and run it as root.",
                reason=_reason(ended),
                command=by_hand,
            )
        )
    return RootHelperRefused(
        say(
            "Nothing was done as root: {reason}. Try again, or write the plan as a script with {command}, "
            "read it, and run it as root.",
            reason=_reason(ended),
            command=by_hand,
        )
    )


def _answer(output: str) -> dict[str, str]:
    try:
        answer = json.loads(output.strip().rpartition("\n")[2])
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _reason(ended: _Ended) -> str:
    """What sudo says under its own name, such as that it waited in vain, else the last line of all."""
    lines = [line.strip().removesuffix(".") for line in ended.errors.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("sudo:")]
    return "; ".join(own or lines[-1:]) or f"sudo ended with code {ended.returncode}"
