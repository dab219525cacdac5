"""Public keys as gpgv reads them: packets one after the other, without GnuPG's armour."""

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path

from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.fetch.wishes import Key
from kvmwizard.words import say

ARMOUR_BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
ARMOUR_END = b"-----END PGP PUBLIC KEY BLOCK-----"
LARGEST_KEY_BYTES = 4 * 1024 * 1024
"""Keys that many people have signed have a million bytes."""


class MalformedArmourError(ValueError):
    """A block that is cut short, or whose letters are not those of base 64."""


def dearmoured(content: bytes) -> bytes:
    """The packets of all armoured blocks (RFC 4880, section 6.2); what has no armour, as it is.

    The checksum of a block is not looked at: a key that was damaged has another
    fingerprint. Raises MalformedArmourError.
    """
    if ARMOUR_BEGIN not in content:
        return content
    blocks = []
    for block in content.split(ARMOUR_BEGIN)[1:]:
        armoured, end, _ = block.partition(ARMOUR_END)
        if not end:
            raise MalformedArmourError
        blocks.append(_packets(armoured))
    return b"".join(blocks)


def keyring(keys: Iterable[Key]) -> bytes:
    """One keyring of all the keys' files. Raises FetchRefused for one that cannot be read."""
    files = dict.fromkeys(key.path for key in keys)
    return b"".join(_key_of(path) for path in files)


def _key_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return dearmoured(file.read(LARGEST_KEY_BYTES))
    except OSError as error:
        raise FetchRefused(
            say(
                "The public key {path} cannot be read: {error}. Put it where the user who builds may read "
                "it, or name another.",
                path=str(path),
                error=error.strerror or str(error),
            )
        ) from error
    except MalformedArmourError as error:
        raise FetchRefused(
            say("{path} is no whole public key. Export it again with gpg --armor --export.", path=str(path))
        ) from error


def _packets(armoured: bytes) -> bytes:
    lines = [line.strip() for line in armoured.splitlines()[1:]]
    # Headers, as "Comment: …", end at an empty line; the line that begins with = is a checksum.
    body = lines[lines.index(b"") + 1 :] if b"" in lines else lines
    try:
        return base64.b64decode(b"".join(line for line in body if not line.startswith(b"=")), validate=True)
    except binascii.Error as error:
        raise MalformedArmourError from error
