"""Reading the machine for a command, or refusing plainly."""

from functools import partial
from pathlib import Path

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.host.facts import Facts
from kvmwizard.host.gather import gather
from kvmwizard.host.guest import finished_guest, run_guest
from kvmwizard.host.guest_process import GuestProcess
from kvmwizard.host.host import Host
from kvmwizard.host.recording import HostRefused
from kvmwizard.words import say

PROCESSOR_FILE = "/proc/cpuinfo"
"""What every machine shows: a directory without it would seem to lack nothing, and be called ready."""


def read_machine(root: Path | None = None, guest: GuestProcess | None = None) -> Facts:
    """What there is to know of this machine, or of the recorded one. Raises CommandRefused.

    `guest` is our own guest, if it has been started already.
    """
    run = run_guest if guest is None else partial(finished_guest, guest)
    try:
        host = Host("/" if root is None else root)
        if host.read_bytes(PROCESSOR_FILE) is None:
            raise CommandRefused(
                ExitCode.WRONG_USE,
                say(
                    "{root} holds no machine, for it has no {file}. Give the root directory of a "
                    "recorded machine.",
                    root=str(host.root),
                    file=PROCESSOR_FILE,
                ),
            )
        return gather(host, guest=run)
    except HostRefused as refused:
        raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
