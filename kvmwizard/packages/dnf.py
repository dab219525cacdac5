"""dnf of Fedora and Red Hat's kin, and yum before it."""

from collections.abc import Sequence

from kvmwizard.packages.protocol import Command, PackageLists
from kvmwizard.packages.shown import ShownManager
from kvmwizard.packages.versions import compare_rpm

RPM = "/usr/bin/rpm"
RPM_FORMAT = "%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"


class Dnf(ShownManager):
    """dnf or yum: the words are the same (dnf(8), yum(8))."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.program = f"/usr/bin/{name}"
        self.lists = PackageLists(f"/var/cache/{name}", "*/repodata/repomd.xml", None)

    def refresh(self) -> tuple[Command, ...]:
        """Fetch the repositories' metadata."""
        return (Command((self.program, "-y", "makecache")),)

    def install(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Without weak dependencies, which yum does not know."""
        weak = () if self.name == "yum" else ("--setopt=install_weak_deps=False",)
        return (Command((self.program, "-y", *weak, "install", *names)),)

    def remove(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Remove with rpm, which refuses what others need; dnf would remove those others too."""
        return (Command((RPM, "--erase", *names)),)

    def installed_query(self) -> tuple[str, ...]:
        """All packages of the rpm database."""
        return (RPM, "--query", "--all", "--queryformat", RPM_FORMAT)

    def parse_installed(self, output: str) -> dict[str, str]:
        """Of packages installed in several versions, as kernels are, the newest."""
        return parse_rpm_rows(output)

    def candidate_query(self, names: Sequence[str]) -> tuple[str, ...]:
        """The newest available version of each; repoquery(1) of yum-utils where there is only yum."""
        query_format = "%{name}\\t%{epoch}:%{version}-%{release}\\n"
        if self.name == "yum":
            return ("/usr/bin/repoquery", "--queryformat", query_format, *names)
        return (self.program, "-q", "repoquery", "--latest-limit=1", "--queryformat", query_format, *names)

    def parse_candidates(self, output: str) -> dict[str, str]:
        """Rows of a name and a version."""
        return parse_rpm_rows(output)

    def compare_versions(self, one: str, other: str) -> int:
        """As rpm compares."""
        return compare_rpm(one, other)


def parse_rpm_rows(output: str) -> dict[str, str]:
    """Rows of a name, a tab and a version; the newest where a name comes twice."""
    versions: dict[str, str] = {}
    for line in output.splitlines():
        name, tab, version = line.partition("\t")
        if tab and (name not in versions or compare_rpm(version, versions[name]) > 0):
            versions[name] = version
    return versions
