"""apk, of Alpine Linux."""

import re
from collections.abc import Sequence

from kvmwizard.packages.protocol import LOCK_SECONDS, Command, PackageLists
from kvmwizard.packages.shown import ShownManager
from kvmwizard.packages.versions import compare_rpm

APK = "/sbin/apk"

_INSTALLED = re.compile(r"^(?P<name>\S+)-(?P<version>\d\S*-r\d+)(?:\s|$)")
_POLICY_NAME = re.compile(r"^(\S+) policy:$")
_POLICY_VERSION = re.compile(r"^  (\d\S*):$")


class Apk(ShownManager):
    """apk(8); --wait waits for its lock."""

    name = "apk"
    lists = PackageLists("/var/cache/apk", "APKINDEX.*", None)

    def refresh(self) -> tuple[Command, ...]:
        """Fetch the indexes."""
        return (Command((APK, "--no-interactive", "--wait", str(LOCK_SECONDS), "update")),)

    def install(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Add to the wanted packages and install."""
        return (Command((APK, "--no-interactive", "--wait", str(LOCK_SECONDS), "add", *names)),)

    def remove(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Take off the wanted packages; apk keeps what others need."""
        return (Command((APK, "--no-interactive", "--wait", str(LOCK_SECONDS), "del", *names)),)

    def installed_query(self) -> tuple[str, ...]:
        """All packages, each as name-version."""
        return (APK, "info", "-v")

    def parse_installed(self, output: str) -> dict[str, str]:
        """A version begins with a digit and ends with the release."""
        matches = (_INSTALLED.match(line) for line in output.splitlines())
        return {match["name"]: match["version"] for match in matches if match}

    def candidate_query(self, names: Sequence[str]) -> tuple[str, ...]:
        """The versions known of each package, and where they come from."""
        return (APK, "policy", *names)

    def parse_candidates(self, output: str) -> dict[str, str]:
        """The newest version under each name."""
        versions: dict[str, str] = {}
        name = ""
        for line in output.splitlines():
            if heading := _POLICY_NAME.match(line):
                name = heading[1]
            elif (version := _POLICY_VERSION.match(line)) and (
                name not in versions or self.compare_versions(version[1], versions[name]) > 0
            ):
                versions[name] = version[1]
        return versions

    def compare_versions(self, one: str, other: str) -> int:
        """Pre-releases (`_alpha`, `_beta`, `_pre`, `_rc`) come before the release, else as rpm compares."""
        before = re.compile(r"_(?=alpha|beta|pre|rc)")
        return compare_rpm(before.sub("~", one), before.sub("~", other))
