"""Versions out of what servers list: whatever they send, nothing but versions comes out."""

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

from kvmwizard.catalog.listed import Listed
from kvmwizard.catalog.sources import Project, tarball_name
from kvmwizard.catalog.version import Version, parse_version

TARBALL = re.compile(r"(?:linux|qemu)-([0-9][0-9.]*(?:-rc[0-9]+)?)\.tar\.(?:xz|gz|bz2)", re.ASCII)
SUMS_LINE = re.compile(r"^[0-9a-f]{64}  (linux-[!-~]{1,80})$", re.MULTILINE | re.ASCII)
"""A line of sha256sum(1)."""

DIRECTORY = re.compile(r"v(?:[3-9]|[1-9][0-9])\.x|v2\.6", re.ASCII)
"""kernel.org's directories of releases that can be KVM hosts; KVM came with Linux 2.6.20."""

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
MONIKERS = ("mainline", "stable", "longterm")

MOST_NAMES = 100_000
"""Names of one page that are looked at; kernel.org's fullest has some 20,000."""


class UnreadableListError(ValueError):
    """What a server sent is no list."""


def names_in_page(page: str) -> list[str]:
    """What a directory's page leads to, as it stands in its links; nothing else of the page counts."""
    links = _Links()
    links.feed(page)
    links.close()
    return links.names


def names_in_sums(text: str) -> list[str]:
    """The files that a list of SHA-256 sums names. Raises UnreadableListError where it names none."""
    names = SUMS_LINE.findall(text)[:MOST_NAMES]
    if not names:
        raise UnreadableListError
    return names


def versions_of(project: Project, names: list[str]) -> list[Listed]:
    """The versions that have, among the names, the tarball that would be downloaded; each once."""
    found: dict[str, None] = {}
    for name in names:
        match = TARBALL.fullmatch(name)
        version = parse_version(match[1]) if match else None
        if version is not None and name == tarball_name(project, version):
            found[version.text] = None
    return [Listed(version) for version in found]


def directories_of(names: list[str]) -> list[str]:
    """kernel.org's directories of releases among the names, as v6.x."""
    return [name for name in dict.fromkeys(name.rstrip("/") for name in names) if DIRECTORY.fullmatch(name)]


def releases_in(text: str) -> list[Listed]:
    """What kernel.org's releases.json says. Raises UnreadableListError where it is none."""
    try:
        releases = json.loads(text)["releases"]
        found = [_release(release) for release in releases[:MOST_NAMES]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableListError from error
    return [release for release in found if release is not None]


def _release(release: dict[str, Any]) -> Listed | None:
    """One entry; None for linux-next and whatever else is no version."""
    version = _version(release["version"])
    if version is None or release["moniker"] not in MONIKERS:
        return None
    released = release.get("released")
    day = released.get("isodate") if isinstance(released, dict) else None
    return Listed(
        version=version.text,
        released=day if isinstance(day, str) and DAY.fullmatch(day) else None,
        moniker=release["moniker"],
        ended=release.get("iseol") is True,
    )


def _version(value: object) -> Version | None:
    return parse_version(value) if isinstance(value, str) else None


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and len(self.names) < MOST_NAMES:
            self.names += [unquote(value) for name, value in attrs if name == "href" and value]
