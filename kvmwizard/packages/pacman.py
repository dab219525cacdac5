"""pacman, of Arch Linux and its kin."""

import re
from collections.abc import Sequence

from kvmwizard.packages.protocol import Command, PackageLists
from kvmwizard.packages.shown import ShownManager
from kvmwizard.packages.versions import compare_rpm

PACMAN = "/usr/bin/pacman"

_FIELD = re.compile(r"^(Name|Version)\s*: (\S+)\s*$", re.MULTILINE)


class Pacman(ShownManager):
    """pacman(8)."""

    name = "pacman"
    lists = PackageLists("/var/lib/pacman/sync", "*.db", None)

    def refresh(self) -> tuple[Command, ...]:
        """Nothing: fresh lists without a whole upgrade leave a mixed system, which Arch does not support."""
        return ()

    def install(self, names: Sequence[str]) -> tuple[Command, ...]:
        """With the upgrade of the whole system that Arch asks for; what is there already stays."""
        return (Command((PACMAN, "-Syu", "--noconfirm", "--needed", "--", *names)),)

    def remove(self, names: Sequence[str]) -> tuple[Command, ...]:
        """The manager itself refuses what others need."""
        return (Command((PACMAN, "-R", "--noconfirm", "--", *names)),)

    def installed_query(self) -> tuple[str, ...]:
        """All packages of the local database."""
        return (PACMAN, "-Q")

    def parse_installed(self, output: str) -> dict[str, str]:
        """Rows of a name and a version."""
        rows = (line.partition(" ") for line in output.splitlines())
        return {name: version for name, _, version in rows if version}

    def candidate_query(self, names: Sequence[str]) -> tuple[str, ...]:
        """What the lists already here say."""
        return (PACMAN, "-Si", "--", *names)

    def parse_candidates(self, output: str) -> dict[str, str]:
        """From the fields that -Si prints, one block a package."""
        fields = _FIELD.findall(output)
        names = [value for key, value in fields if key == "Name"]
        versions = [value for key, value in fields if key == "Version"]
        return dict(zip(names, versions, strict=False))

    def compare_versions(self, one: str, other: str) -> int:
        """As vercmp(8), whose rule is rpm's."""
        return compare_rpm(one, other)
