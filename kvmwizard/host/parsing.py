"""Turns the kernel's small texts into values."""

import re
from collections.abc import Iterable, Iterator

from kvmwizard.host.reading import Reading, Unknown, UnknownReason

MOST_DIGITS = 20
"""Digits of the largest number that the kernel prints, 2**64 - 1."""
QUOTED = 80
"""Characters of a text that are quoted where it is not understood."""
NUMBER = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}")
VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+")
PARENTHESES = re.compile(r"\([^()]*\)")


def not_understood(text: str, source: str) -> Unknown:
    """Unknown, with the beginning of what was read."""
    return Unknown(unknown=UnknownReason.NOT_UNDERSTOOD, detail=f"{source}: {text[:QUOTED]!r}")


def not_shown(detail: str) -> Unknown:
    """Unknown, because the machine has no place that says it."""
    return Unknown(unknown=UnknownReason.NOT_SHOWN, detail=detail)


def whole_number(text: Reading[str], source: str) -> Reading[int]:
    """The text as a number of zero or more."""
    if isinstance(text, Unknown):
        return text
    return int(text) if NUMBER.fullmatch(text) else not_understood(text, source)


def switch(text: Reading[str], source: str) -> Reading[bool]:
    """A parameter that the kernel prints as Y or N, or as a number that is zero when off."""
    if isinstance(text, Unknown):
        return text
    if text in ("Y", "y"):
        return True
    if text in ("N", "n"):
        return False
    return int(text) != 0 if NUMBER.fullmatch(text) else not_understood(text, source)


def bracketed(text: Reading[str], source: str) -> Reading[str]:
    """The choice in brackets of a file such as `always [madvise] never`."""
    if isinstance(text, Unknown):
        return text
    found = re.search(r"\[([a-z_-]{1,32})\]", text)
    return found[1] if found else not_understood(text, source)


def version_number(output: str) -> str | None:
    """The first version in a program's first line, what stands in parentheses left out."""
    line = output.strip().partition("\n")[0]
    found = VERSION.search(PARENTHESES.sub("", line)) or VERSION.search(line)
    return found[0] if found else None


def assignments(text: str, separator: str) -> Iterator[tuple[str, str]]:
    """The names and values of lines such as `name: value`, in their order."""
    for line in text.split("\n"):
        name, found, value = line.partition(separator)
        if found:
            yield name.strip(), value.strip()


def natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names sorted so that 6.10 comes after 6.9."""

    def key(name: str) -> list[tuple[int, str]]:
        parts = re.findall(r"[0-9]{1,18}|[^0-9]+|[0-9]+", name)
        return [(int(part), "") if NUMBER.fullmatch(part) else (-1, part) for part in parts]

    return tuple(sorted(names, key=key))
