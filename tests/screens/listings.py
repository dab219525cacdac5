"""Lists of versions as servers might give them, put where a chooser finds them at once."""

from kvmwizard.catalog.catalogue import Catalogue, Mark, Origin, VersionEntry
from kvmwizard.catalog.sources import Project, sources_for
from kvmwizard.words import Words
from screens.listing import Form, Listing
from screens.state import WizardState


def version(
    text: str,
    *marks: Mark,
    released: str | None = "2026-10-01",
    end_of_life: str | None = None,
) -> VersionEntry:
    return VersionEntry(
        version=text,
        tag=f"v{text}",
        released=released,
        marks=marks,
        candidate="-rc" in text,
        end_of_life=end_of_life,
    )


LINUX = (
    version("6.19-rc3"),
    version("6.18.2", "newest"),
    version("6.12.104", "longterm", end_of_life="2028-12"),
    version("6.1.192", "longterm", end_of_life="2027-12"),
    version("6.1.12", "longterm", end_of_life="2027-12"),
    version("4.8.5", "book", "end-of-life", released="2016-10-28", end_of_life="2017-01"),
    version("2.6.32", "end-of-life"),
)
QEMU = (version("10.1.0", "newest"), version("7.2.22"), version("2.7.0", "book", "end-of-life"))


def listing(
    project: Project,
    entries: tuple[VersionEntry, ...],
    *,
    origin: Origin = "live",
    age: float = 5.0,
    notices: tuple[Words, ...] = (),
) -> Listing:
    catalogue = Catalogue(project, entries, origin, age, notices)
    return Listing(catalogue, sources_for(project, None), None)


def fill(state: WizardState) -> None:
    """Both projects' lists, in both forms."""
    forms: tuple[Form, ...] = ("release", "git")
    for form in forms:
        state.listings["linux", form] = listing("linux", LINUX)
        state.listings["qemu", form] = listing("qemu", QEMU)
