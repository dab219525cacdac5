"""apt, of Debian, Ubuntu and their kin."""

import re
from collections.abc import Iterator, Sequence

from kvmwizard.packages.protocol import (
    LOCK_SECONDS,
    PROGRESS_DESCRIPTOR,
    Command,
    LockHolder,
    PackageLists,
    PackageProgress,
)
from kvmwizard.packages.versions import compare_debian
from kvmwizard.words import say

APT_GET = "/usr/bin/apt-get"
APT_CACHE = "/usr/bin/apt-cache"
DPKG = "/usr/bin/dpkg"
DPKG_QUERY = "/usr/bin/dpkg-query"
TOUCH = "/usr/bin/touch"

LISTS_LOCK = "/var/lib/apt/lists/lock"
DPKG_LOCK = "/var/lib/dpkg/lock-frontend"
STAMP = "/var/lib/apt/periodic/update-success-stamp"
"""Also touched by Ubuntu's update-notifier and Debian's apt.systemd.daily."""

# Nobody is there to answer; needrestart would restart services of its own accord, and
# apt-listchanges would open a pager.
QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_SUSPEND": "1",
    "APT_LISTCHANGES_FRONTEND": "none",
}

OPTIONS = (
    *("-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}"),
    *("-o", f"APT::Status-Fd={PROGRESS_DESCRIPTOR}"),
    # dpkg's output goes straight to the log, not through a pseudo-terminal that dies with apt.
    *("-o", "Dpkg::Use-Pty=0"),
)

_WAITING = re.compile(
    r"Could not get lock (?P<path>\S+?)\.? It is held by process (?P<process>\d+)(?: \((?P<name>[^)]*)\))?"
)
_PACKAGE_LINE = re.compile(r"^(Package|Version): (\S+)$", re.MULTILINE)
_UNPACKING = re.compile(r"^Unpacking ([a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)? \(", re.MULTILINE)
_NOT_THERE = frozenset({"not-installed", "config-files"})
"""Of the states of a package (dpkg-query(1)), those in which none of its programs is there."""


class Apt:
    """apt-get for fetching and installing, dpkg for removing and asking."""

    name = "apt"
    carried_out = True
    lists = PackageLists("/var/lib/apt/lists", "*_Packages*", STAMP)

    def refresh(self) -> tuple[Command, ...]:
        """Fetch the lists, and only if every source answered, say so in the stamp.

        Without the error mode, apt-get update succeeds though no source could be
        reached. It does not wait for the lock of the lists, whatever the timeout.
        """
        update = (APT_GET, *OPTIONS, "-o", "APT::Update::Error-Mode=any", "update")
        return (Command(update, QUIET, (LISTS_LOCK,)), Command((TOUCH, STAMP)))

    def install(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Install without recommended packages, keeping configuration files that were changed here.

        A name that is not in the lists is an error: without Pattern-Only, apt-get takes
        it for a regular expression, and a kernel's full version has dots in it.
        """
        keep = "Dpkg::Options::=--force-confold"
        options = (*OPTIONS, "-o", keep, "-o", "APT::Cmd::Pattern-Only=true")
        command = (APT_GET, *options, "install", "--yes", "--no-install-recommends", "--", *names)
        return (Command(command, QUIET),)

    def remove(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Remove with dpkg, which refuses what others need; apt would remove those others too."""
        return (Command((DPKG, "--remove", "--", *names), QUIET, (DPKG_LOCK,)),)

    def installed_query(self) -> tuple[str, ...]:
        """The state is asked for since dpkg also lists packages that left only their configuration."""
        return (DPKG_QUERY, "--show", "--showformat", "${db:Status-Status}\t${Package}\t${Version}\n")

    def parse_installed(self, output: str) -> dict[str, str]:
        """The architecture is left out of the name: a native package is meant."""
        return {name: version for state, name, version in _rows(output) if state == "installed"}

    def parse_unfinished(self, output: str) -> tuple[str, ...]:
        """What is being changed just now, or was left so by a script of its own that failed."""
        return tuple(name for state, name, _ in _rows(output) if state not in _NOT_THERE | {"installed"})

    def parse_unpacked(self, log: str) -> frozenset[str] | None:
        """What dpkg says of each package that it unpacks."""
        return frozenset(_UNPACKING.findall(log))

    def candidate_query(self, names: Sequence[str]) -> tuple[str, ...]:
        """Without all versions, apt-cache shows the one that apt-get would install."""
        return (APT_CACHE, "show", "--no-all-versions", "--", *names)

    def parse_candidates(self, output: str) -> dict[str, str]:
        """From the records that apt-cache prints, one a package."""
        fields = _PACKAGE_LINE.findall(output)
        names = [value for key, value in fields if key == "Package"]
        versions = [value for key, value in fields if key == "Version"]
        return dict(zip(names, versions, strict=False))

    def search(self, pattern: str) -> tuple[str, ...]:
        """Asks for the packages whose name matches an extended regular expression."""
        return (APT_CACHE, "search", "--names-only", "--", pattern)

    def compare_versions(self, one: str, other: str) -> int:
        """As dpkg --compare-versions."""
        return compare_debian(one, other)

    def parse_progress(self, line: str) -> PackageProgress | None:
        """One line of APT::Status-Fd: kind:subject:percent:words; the subject may hold an architecture."""
        kind, _, rest = line.rstrip("\n").partition(":")
        if kind not in {"dlstatus", "pmstatus"}:
            return None
        match = re.fullmatch(r"\S*?:(?P<percent>\d+(?:\.\d+)?):(?P<words>.*)", rest)
        if match is None:
            return None
        percent = min(float(match["percent"]), 100.0)
        return PackageProgress(percent, kind == "dlstatus", match["words"])

    def lock_holder(self, log_tail: str) -> LockHolder | None:
        """From apt's own line, which is the last of the log for as long as it waits."""
        last = log_tail.rstrip("\n").rpartition("\n")[2].rpartition("\r")[2]
        match = _WAITING.search(last)
        if match is None:
            return None
        process, name = int(match["process"]), match["name"]
        if name:
            words = say(
                "Waiting for apt's lock, held by process {process} ({name})", process=process, name=name
            )
        else:
            words = say("Waiting for apt's lock, held by process {process}", process=process)
        return LockHolder(process, name, words)


def _rows(output: str) -> Iterator[tuple[str, str, str]]:
    """State, name and version, as `installed_query` asks for them."""
    for line in output.splitlines():
        state, _, rest = line.partition("\t")
        name, separator, version = rest.partition("\t")
        if separator:
            yield state, name, version
