"""Reading the machine for a command, or refusing plainly."""

from pathlib import Path

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.host.facts import Facts
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.host.recording import HostRefused


def read_machine(root: Path | None = None) -> Facts:
    """What there is to know of this machine, or of the recorded one. Raises CommandRefused."""
    try:
        return gather(Host("/" if root is None else root))
    except HostRefused as refused:
        raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
