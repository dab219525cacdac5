"""What the managers share whose commands are shown for the person to run, and not run."""

from kvmwizard.packages.protocol import LockHolder, PackageProgress


class ShownManager:
    """Nothing is watched, since nothing is run."""

    carried_out = False

    def parse_progress(self, _line: str) -> PackageProgress | None:
        """None: there is no progress to read."""
        return None

    def lock_holder(self, _log_tail: str) -> LockHolder | None:
        """None: there is no log to read."""
        return None
