"""A shell of the person's own on the wizard's terminal, while the wizard waits."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

from textual.app import App

from kvmwizard.commands.output import show
from kvmwizard.words import Words, say
from screens.run_control import discard_typed_ahead, interrupts_for_child

PLAIN_SHELL = "/bin/sh"


def why_no_shell() -> Words | None:
    """Why none is opened; None where one can be."""
    if os.geteuid() == 0:
        return say(
            "The wizard runs as root here, and opens no shell as root. Look into it from another terminal; "
            "the l key shows the log."
        )
    return None


def open_shell(app: App[int], folder: Path, sentence: Words) -> Words | None:
    """Open it in the folder, and come back when it ends; why not, where it cannot be opened.

    On the event loop and not in a thread: a suspended application must not run beside it.
    """
    with app.suspend(), interrupts_for_child(), _terminal_kept():
        show()
        show(sentence)
        discard_typed_ahead()
        try:
            subprocess.run([users_shell()], cwd=folder, check=False)
        except OSError as error:
            return say(
                "No shell could be opened in {folder}: {error}.",
                folder=str(folder),
                error=error.strerror or str(error),
            )
        show(say("Back to kvmwizard."))
    return None


def users_shell() -> str:
    """What the person uses: SHELL, else the account's, else the plain one."""
    wanted = [os.environ.get("SHELL", "")]
    with contextlib.suppress(KeyError):
        wanted.append(pwd.getpwuid(os.geteuid()).pw_shell)
    return next((each for each in wanted if each.startswith("/") and os.access(each, os.X_OK)), PLAIN_SHELL)


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    """The terminal's modes and its foreground are ours again, however the shell ended.

    A shell that was killed leaves its own process group in the foreground, and we would be stopped
    at the next key (tcsetpgrp(3), SIGTTIN).
    """
    terminal = sys.__stdin__
    if terminal is None or not terminal.isatty():
        yield
        return
    modes = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        stopping = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(terminal.fileno(), os.getpgrp())
        termios.tcsetattr(terminal, termios.TCSADRAIN, modes)
        signal.signal(signal.SIGTTOU, stopping)
