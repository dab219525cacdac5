"""Reads every subject at once."""

from pathlib import Path

from kvmwizard.host.facts import Facts
from kvmwizard.host.host import Host


def gather(host: Host, build_directory: Path | None = None) -> Facts:
    """Read the machine, all subjects concurrently; never raises for what cannot be read.

    `build_directory` is where builds would go; its file system's free space is
    read. By default the user's cache directory.
    """
    raise NotImplementedError
