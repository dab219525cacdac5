"""The version chooser over N made-up versions on a made-up machine: `python -m tests.bench.chooser_app N`."""

import sys
import tempfile
from pathlib import Path

from kvmwizard.catalog.catalogue import Catalogue, Mark, VersionEntry
from kvmwizard.catalog.sources import sources_for
from screens.app import WizardApp
from screens.listing import Listing
from screens.state import Machine, WizardState
from screens.version_chooser import VersionChooser
from tests.facts_builder import make_facts


def made_up_versions(count: int) -> tuple[VersionEntry, ...]:
    """As many, newest first, numbered as Linux's are: some hundred to a line of releases."""
    return tuple(_version(number) for number in range(count - 1, -1, -1))


def _version(number: int) -> VersionEntry:
    version = f"{1 + number // 2000}.{number // 100 % 20}.{number % 100}"
    marks: tuple[Mark, ...] = ("longterm",) if number % 9 == 0 else ()
    return VersionEntry(version, f"v{version}", "2026-01-01", marks, False, "2027-12")


class ChooserApp(WizardApp):
    """Opens at the chooser, and reads no machine."""

    def read_machine(self) -> None:
        """It is described already; show the chooser above its page."""
        self.push_screen(VersionChooser(self.state, "linux", "release", None))


def main() -> None:
    """Show it on this terminal."""
    with tempfile.TemporaryDirectory() as folder:
        state = WizardState(Path(folder, "state"))
        state.open()
        state.machine = Machine(make_facts(), ())
        catalogue = Catalogue("linux", made_up_versions(int(sys.argv[1])), "live", 0.0, ())
        state.listings["linux", "release"] = Listing(catalogue, sources_for("linux", None), None)
        ChooserApp(state).run()


if __name__ == "__main__":
    main()
