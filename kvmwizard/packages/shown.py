"""What the managers share whose commands are shown for the person to run, and not run."""

from kvmwizard.packages.protocol import LockHolder, PackageProgress


class ShownManager:
    """Nothing is watched, since nothing is run."""

    carried_out = False

    def parse_unfinished(self, _output: str) -> tuple[str, ...]:
        """None: a package is shown when it is there wholly."""
        return ()

    def parse_unpacked(self, _log: str) -> frozenset[str] | None:
        """None: there is no log to read."""
        return None

    def parse_progress(self, _line: str) -> PackageProgress | None:
        """None: there is no progress to read."""
        return None

    def lock_holder(self, _log_tail: str) -> LockHolder | None:
        """None: there is no log to read."""
        return None
