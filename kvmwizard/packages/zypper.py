"""zypper, of openSUSE and SUSE Linux Enterprise."""

import re
from collections.abc import Sequence

from kvmwizard.packages.dnf import RPM, RPM_FORMAT, parse_rpm_rows
from kvmwizard.packages.protocol import Command, PackageLists
from kvmwizard.packages.shown import ShownManager
from kvmwizard.packages.versions import compare_rpm

ZYPPER = "/usr/bin/zypper"

_FIELD = re.compile(r"^(Name|Version)\s*: (\S+)\s*$", re.MULTILINE)


class Zypper(ShownManager):
    """zypper(8), which asks nothing with --non-interactive."""

    name = "zypper"
    lists = PackageLists("/var/cache/zypp/raw", "*/repodata/repomd.xml", None)

    def refresh(self) -> tuple[Command, ...]:
        """Fetch the repositories' metadata."""
        return (Command((ZYPPER, "--non-interactive", "refresh")),)

    def install(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Without recommended packages."""
        return (Command((ZYPPER, "--non-interactive", "install", "--no-recommends", "--", *names)),)

    def remove(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Remove with rpm, which refuses what others need; zypper would remove those others too."""
        return (Command((RPM, "--erase", *names)),)

    def installed_query(self) -> tuple[str, ...]:
        """All packages of the rpm database."""
        return (RPM, "--query", "--all", "--queryformat", RPM_FORMAT)

    def parse_installed(self, output: str) -> dict[str, str]:
        """Of packages installed in several versions, as kernels are, the newest."""
        return parse_rpm_rows(output)

    def candidate_query(self, names: Sequence[str]) -> tuple[str, ...]:
        """What the lists already here say."""
        return (ZYPPER, "--non-interactive", "--no-refresh", "info", "--", *names)

    def parse_candidates(self, output: str) -> dict[str, str]:
        """From the fields that `zypper info` prints, one block a package."""
        fields = _FIELD.findall(output)
        names = [value for key, value in fields if key == "Name"]
        versions = [value for key, value in fields if key == "Version"]
        return dict(zip(names, versions, strict=False))

    def compare_versions(self, one: str, other: str) -> int:
        """As rpm compares."""
        return compare_rpm(one, other)
