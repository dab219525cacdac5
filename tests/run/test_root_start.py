"""What starts the root helper: how long it is waited for, and how it is ended."""

import sys
import time

import pexpect
import pytest

from kvmwizard.run import root_start
from tests.machine.layers import PROGRAM_PYTHON
from tests.machine.machine import ThrowawayMachine
from tests.run.plans import plan_of

TOLD_TO_END = """
import signal, sys, time
def end(*_):
    sys.stderr.write("sudo: given up" + chr(10))
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
time.sleep(60)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(60)
"""


def test_who_is_waited_for_in_vain_is_told_to_end_and_may_say_why() -> None:
    ended = root_start._run((sys.executable, "-c", TOLD_TO_END), plan_of(), 1.0)
    assert (ended.returncode, ended.errors) == (1, "sudo: given up\n")


def test_who_does_not_end_when_told_to_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_start, "END_SECONDS", 0.5)
    begun = time.monotonic()
    ended = root_start._run((sys.executable, "-c", DEAF), plan_of(), 1.0)
    assert ended.returncode == -9
    assert 1.5 <= time.monotonic() - begun < 10.0


ASKED_IN_VAIN = """
import subprocess
from pathlib import Path
from kvmwizard.plan.model import Plan
from kvmwizard.run import root_start
root_start.ASK_SECONDS = 3.0
print(root_start.start_by_sudo(Plan(user="alice", qemu=None, steps=()), "", ask=True).words)
with Path("/dev/tty").open() as terminal:
    modes = subprocess.check_output(["/bin/stty", "-a"], stdin=terminal, text=True).split()
print("echo" if "echo" in modes else "no echo")
"""


@pytest.mark.root
def test_a_password_that_nobody_gives_leaves_the_terminal_as_it_was(
    program_machine: ThrowawayMachine,
) -> None:
    argv = program_machine.command([PROGRAM_PYTHON, "-c", ASKED_IN_VAIN], user="alice", env={"TERM": "xterm"})
    terminal = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=30)
    terminal.expect("password for alice: ")
    terminal.expect(pexpect.EOF)
    said = terminal.before
    terminal.close()
    assert isinstance(said, str)
    assert "Nothing was done as root: sudo: a password is required. Try again" in said
    assert said.splitlines()[-1] == "echo"
