"""What kvmwizard asks of a distribution's package manager."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kvmwizard.words import Words

LOCK_SECONDS = 600
"""How long a package manager waits for another one to finish."""

PROGRESS_DESCRIPTOR = 3
"""The descriptor on which a command finds its step's progress file, open for appending."""


@dataclass(frozen=True)
class Command:
    """A command of a package manager: an absolute program and its words, no shell."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside PATH and LC_ALL=C."""
    locks: tuple[str, ...] = ()
    """Lock files that the program does not wait for by itself."""


@dataclass(frozen=True)
class PackageLists:
    """Where the lists of what could be installed lie, and what shows their age."""

    directory: str
    pattern: str
    """A glob of the list files in `directory`; where none matches there are no lists."""
    stamp: str | None
    """A file touched by each successful refresh, for managers whose lists keep the server's times."""


@dataclass(frozen=True)
class PackageProgress:
    """How far a package manager says it is."""

    percent: float
    """Of the present phase, 0 to 100."""
    downloading: bool
    """The download is a phase of its own, before the installation."""
    english: str
    """The package manager's own words, which are English under LC_ALL=C."""

    def fraction(self, downloads_only: bool) -> float:
        """Of the whole, 0 to 1: both phases weigh the same, unless nothing but downloads is to come."""
        if downloads_only:
            return self.percent / 100
        return (self.percent if self.downloading else 100 + self.percent) / 200


@dataclass(frozen=True)
class LockHolder:
    """The process that holds the package manager's lock."""

    process: int | None
    name: str | None
    words: Words


class PackageManager(Protocol):
    """One package manager. Everything but the queries needs root."""

    @property
    def name(self) -> str:
        """As `apt`; also the key that conditions carry."""

    @property
    def carried_out(self) -> bool:
        """Whether kvmwizard runs these commands; where not, they are shown for the person to run."""

    @property
    def lists(self) -> PackageLists:
        """What a refresh renews."""

    def refresh(self) -> tuple[Command, ...]:
        """Fetch the lists of what could be installed."""

    def install(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Install the packages and what they depend on, or bring them up to date."""

    def remove(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Remove exactly these packages; fails rather than remove what depends on them."""

    def installed_query(self) -> tuple[str, ...]:
        """Asks for all installed packages."""

    def parse_installed(self, output: str) -> dict[str, str]:
        """The versions of the installed packages, by name."""

    def parse_unfinished(self, output: str) -> tuple[str, ...]:
        """The packages of the same output that are there in part."""

    def parse_unpacked(self, log: str) -> frozenset[str] | None:
        """The packages that an installation put there, by its own log; None where it does not tell."""

    def candidate_query(self, names: Sequence[str]) -> tuple[str, ...]:
        """Asks which versions would be installed."""

    def parse_candidates(self, output: str) -> dict[str, str]:
        """The versions that would be installed, by name; unknown names are left out."""

    def compare_versions(self, one: str, other: str) -> int:
        """Below, at or above 0, as `one` is older than, the same as or newer than `other`."""

    def parse_progress(self, line: str) -> PackageProgress | None:
        """What one line of the progress file says; None for what is no progress."""

    def lock_holder(self, log_tail: str) -> LockHolder | None:
        """Who holds the lock, where the last line of the log says that it is waited for."""
