"""What a tag in git says and who signed it."""

import tempfile
from dataclasses import dataclass

from kvmwizard.fetch.signature import Checked, Outcome, check_stream
from kvmwizard.fetch.wishes import Key

SIGNATURE_BEGIN = b"-----BEGIN PGP SIGNATURE-----"


@dataclass(frozen=True)
class TagObject:
    """A tag as git keeps it (git-mktag(1)): what is signed, and the signature after it."""

    name: str
    kind: str
    """What it points to: `commit`."""
    target: str
    signed: bytes
    signature: bytes
    """Empty for a tag that nobody signed."""


def parse_tag(content: bytes) -> TagObject | None:
    """The tag in what `git cat-file tag` writes; None for one that is malformed."""
    head = content.partition(b"\n\n")[0]
    fields: dict[str, str] = {}
    for line in head.decode(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        # The first of a name counts, as it does for git.
        fields.setdefault(name, value)
    if not fields.keys() >= {"object", "type", "tag"}:
        return None
    place = _signature_place(content)
    return TagObject(
        name=fields["tag"],
        kind=fields["type"],
        target=fields["object"],
        signed=content[:place],
        signature=content[place:],
    )


def check_tag(tag: TagObject, wanted: str, keys: tuple[Key, ...]) -> Checked:
    """Whether one of the keys signed this tag, and under the wanted name. Raises FetchRefused, OSError.

    A mirror could give an old tag, signed as it is, under a newer one's name: what the
    signed text itself says counts.
    """
    if not tag.signature:
        return Checked(Outcome.NONE)
    with tempfile.TemporaryFile() as signed:
        signed.write(tag.signed)
        signed.seek(0)
        checked = check_stream(tag.signature, [], signed, keys)
    if checked.outcome is Outcome.GOOD and tag.name != wanted:
        return Checked(Outcome.BAD, checked.fingerprint, checked.owner)
    return checked


def _signature_place(content: bytes) -> int:
    """Where the last line that begins a signature is; the end where there is none."""
    place = content.rfind(b"\n" + SIGNATURE_BEGIN)
    return len(content) if place < 0 else place + 1
