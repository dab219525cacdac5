"""The fingerprints of public keys in a file, so that a person's key can be shown and pinned.

Read here and not by gpg, which a machine may lack until the build packages are
installed; signatures are checked by gpgv alone.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kvmwizard.fetch.keyring import LARGEST_KEY_BYTES, MalformedArmourError, dearmoured
from kvmwizard.refusal import Refusal
from kvmwizard.words import say

PUBLIC_KEY_TAG = 6
FOURTH_VERSION = 4
"""The only version of keys that has 40 hexadecimal digits."""

PACKET = 0x80
NEW_FORMAT = 0x40


class KeyRefused(Refusal):
    """A file that cannot be used as a public key; `words` says which file and why."""


class MalformedKeyError(ValueError):
    """What should be a public key is cut short, or is none."""


def read_fingerprints(path: Path) -> tuple[str, ...]:
    """The fingerprints of the primary keys in a file, armored or not, in capitals.

    Raises KeyRefused where it cannot be read or holds no public key.
    """
    try:
        if not path.is_file():
            raise KeyRefused(
                say(
                    "There is no key file {path}. Give the path of a file with a public key, as "
                    "gpg --export writes it.",
                    path=str(path),
                )
            )
        with path.open("rb") as file:
            content = file.read(LARGEST_KEY_BYTES)
    except OSError as error:
        raise KeyRefused(
            say(
                "The key file {path} cannot be read: {error}.",
                path=str(path),
                error=error.strerror or str(error),
            )
        ) from error
    found = fingerprints(content)
    if not found:
        raise KeyRefused(
            say(
                "{path} holds no public key. Give a file that gpg --export or gpg --armor --export wrote.",
                path=str(path),
            )
        )
    return found


def fingerprints(content: bytes) -> tuple[str, ...]:
    """The fingerprints of the primary keys, each once; empty where it holds none (RFC 4880, section 12.2)."""
    try:
        found = [
            hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
            for tag, body in _packets(dearmoured(content))
            if tag == PUBLIC_KEY_TAG and body[:1] == bytes([FOURTH_VERSION])
        ]
    except (MalformedArmourError, MalformedKeyError):
        return ()
    return tuple(dict.fromkeys(digest.hexdigest().upper() for digest in found))


def _packets(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet (RFC 4880, section 4.2)."""
    position = 0
    while position < len(content):
        first = content[position]
        if not first & PACKET:
            raise MalformedKeyError
        tag, start, length = _header(content, position)
        body = content[start : start + length]
        if len(body) != length:
            raise MalformedKeyError
        yield tag, body
        position = start + length


def _header(content: bytes, position: int) -> tuple[int, int, int]:
    """The packet's tag, where its body starts, and how long that is."""
    first = content[position]
    if first & NEW_FORMAT:
        start, length = _new_length(content, position + 1)
        return first & 0x3F, start, length
    kind = first & 0x03
    if kind == 3:
        # Of indeterminate length, which keys never have.
        raise MalformedKeyError
    size = 1 << kind
    return (first >> 2) & 0x0F, position + 1 + size, _number(content, position + 1, size)


def _new_length(content: bytes, position: int) -> tuple[int, int]:
    """Where the body starts, and its length (RFC 4880, section 4.2.2)."""
    # ruff: noqa: PLR2004  -- the numbers are those of the format
    first = _number(content, position, 1)
    if first < 192:
        return position + 1, first
    if first < 224:
        return position + 2, ((first - 192) << 8) + _number(content, position + 1, 1) + 192
    if first == 255:
        return position + 5, _number(content, position + 1, 4)
    raise MalformedKeyError


def _number(content: bytes, position: int, size: int) -> int:
    digits = content[position : position + size]
    if len(digits) != size:
        raise MalformedKeyError
    return int.from_bytes(digits, "big")
