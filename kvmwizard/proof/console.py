"""What a kernel that boots says on its console, and what it means when it stops there. Pure."""

import re
from dataclasses import dataclass
from typing import Self

from kvmwizard.catalog.known_failures import known_failure
from kvmwizard.plan.kernel_shell import GUEST_SAYS
from kvmwizard.words import Words, say

OURS = re.compile(rf"{re.escape(GUEST_SAYS)}(\S+)\r?\n")
PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
"""kernel/panic.c."""
NO_PROGRAM = re.compile(r"No working init found|Unable to mount root fs|Requested init .* failed")
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|[\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True)
class KernelSays:
    """How far a kernel came, by its console."""

    release: str | None
    """From our program; None where it was not reached."""
    panic: str | None

    @classmethod
    def of(cls, console: str) -> Self:
        """What is on this console."""
        panic = PANIC.search(console)
        return cls(said_of_itself(console), panic[1].strip().rstrip(".") if panic else None)


def said_of_itself(console: str) -> str | None:
    """The release that the kernel told our program; None where that did not run."""
    found = OURS.search(console)
    return found[1] if found else None


def last_line(console: str) -> str | None:
    """The last line that says anything, without a full stop."""
    lines = [CONTROLS.sub("", line).strip() for line in console.splitlines()]
    return next((line.rstrip(".") for line in reversed(lines) if line), None)


def kernel_failure(release: str, console: str, seconds: int, timed_out: bool) -> Words:
    """Why a kernel did not come to our program, and what to do next.

    Args:
        release: of the kernel.
        console: all that it printed.
        seconds: how long it ran.
        timed_out: whether it was still running then.
    """
    known = known_failure("linux", release.partition("-")[0], console)
    if known is not None:
        return known
    says = KernelSays.of(console)
    if says.panic is not None and NO_PROGRAM.search(says.panic):
        return say(
            "The kernel boots, but cannot run the program of our initramfs: {panic}. Switch on what the boot "
            "test needs, on the page of the kernel's build.",
            panic=says.panic,
        )
    if says.panic is not None:
        return say(
            "The kernel does not boot. It panics: {panic}. It is not installed. Choose another version, "
            "another compiler or other settings.",
            panic=says.panic,
        )
    line = last_line(console)
    if line is None:
        return say(
            "The kernel said nothing for {seconds} seconds. It does not boot, or has no console on the "
            "serial port: switch on what the boot test needs, on the page of the kernel's build.",
            seconds=seconds,
        )
    if timed_out:
        return say(
            "The kernel did not come up within {seconds} seconds, and is not installed. It said last: "
            "{line}. Choose another version or another compiler; on a busy machine, retry.",
            seconds=seconds,
            line=line,
        )
    return say(
        "The kernel ended before it ran a program, and is not installed. It said last: {line}. Choose "
        "another version, another compiler or other settings.",
        line=line,
    )
