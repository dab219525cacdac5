"""Compares package versions the way the package managers do, digits as numbers."""

import re
from itertools import zip_longest

_DEBIAN_PART = re.compile(r"(\D*)(\d*)")
_RPM_PART = re.compile(r"\d+|[A-Za-z]+|~|\^")


def compare_debian(one: str, other: str) -> int:
    """Below, at or above 0 (deb-version(7)): epoch, then upstream version, then revision."""
    key, other_key = _debian_key(one), _debian_key(other)
    return (key > other_key) - (key < other_key)


def _debian_key(version: str) -> tuple[int, list[tuple[list[int], int]], list[tuple[list[int], int]]]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch) if epoch.isdigit() else 0, _debian_parts(upstream), _debian_parts(revision)


def _debian_parts(text: str) -> list[tuple[list[int], int]]:
    parts = _DEBIAN_PART.findall(text)
    return [([*map(_debian_order, letters), 0], int(digits or 0)) for letters, digits in parts]


def _debian_order(character: str) -> int:
    """The tilde sorts before the end of a part, letters before all other characters."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def compare_rpm(one: str, other: str) -> int:
    """Below, at or above 0 (rpm-version(7)): epoch, then version, then release."""
    epoch, version, release = _rpm_fields(one)
    other_epoch, other_version, other_release = _rpm_fields(other)
    if epoch != other_epoch:
        return epoch - other_epoch
    order = _compare_rpm_text(version, other_version)
    if order or not (release and other_release):
        return order
    return _compare_rpm_text(release, other_release)


def _rpm_fields(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    number, _, release = rest.partition("-")
    return int(epoch) if epoch.isdigit() else 0, number, release


def _compare_rpm_text(one: str, other: str) -> int:
    for part, other_part in zip_longest(_RPM_PART.findall(one), _RPM_PART.findall(other)):
        if part != other_part:
            key, other_key = _rpm_order(part), _rpm_order(other_part)
            return (key > other_key) - (key < other_key) or 0
    return 0


def _rpm_order(part: str | None) -> tuple[int, int, str]:
    """Tilde, then the end, then caret, then letters, then numbers."""
    if part == "~":
        return 0, 0, ""
    if part is None:
        return 1, 0, ""
    if part == "^":
        return 2, 0, ""
    return (4, int(part), "") if part.isdigit() else (3, 0, part)
