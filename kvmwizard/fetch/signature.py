"""Signatures, checked by gpgv against pinned keys and nothing else.

gpgv trusts every key in the keyring that it is given, so the keyring holds the pinned
files alone, and what counts in the end is the fingerprint: the signing key's or its
primary key's must be one of those that were pinned.

A key that has expired since is no obstacle where the signature was made before: pinned
fingerprints are what is trusted, and releases are older than keys grow. One that was made
after the key expired counts as one by an unknown key, since our copy of the key may be
older than its owner's.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

from kvmwizard.fetch.chain import Tell, run_chain
from kvmwizard.fetch.keyring import keyring
from kvmwizard.fetch.wishes import Key

STATUS_PREFIX = "[GNUPG:] "


class Outcome(Enum):
    """What a signature is worth."""

    GOOD = "good"
    UNKNOWN = "unknown"
    """Nobody here can tell: no pinned key made it, or none that was valid then."""
    BAD = "bad"
    """It is by a pinned key, and over something else; or that key or signature was revoked."""
    NONE = "none"
    """There is no signature in it."""


@dataclass(frozen=True)
class Checked:
    """What gpgv said of a signature."""

    outcome: Outcome
    fingerprint: str = ""
    """The pinned key's; for an unknown key what the signature says of it, which may be a shorter id."""
    owner: str = ""
    """The first user id of the key, which is nobody's claim but the key's own."""


@dataclass(frozen=True)
class SignedText:
    """A text that its signature is around."""

    checked: Checked
    text: bytes
    """What is signed, and nothing from outside of it; empty unless the signature is good."""


def check_file(signature: bytes, file: Path, keys: tuple[Key, ...], tell: Tell | None = None) -> Checked:
    """Check a detached signature over a file. Raises FetchRefused, OSError."""
    with file.open("rb") as content:
        return check_stream(signature, [], content, keys, tell)


def check_stream(
    signature: bytes,
    filters: list[list[str]],
    source: IO[bytes],
    keys: tuple[Key, ...],
    tell: Tell | None = None,
) -> Checked:
    """Check a detached signature over what commands make of a file.

    Args:
        signature: armoured or not.
        filters: commands that the file goes through first, as `xz --decompress`.
        source: the file.
        keys: the pinned ones.
        tell: told how much of the file has been read.

    Raises:
        FetchRefused: gpgv or a filter is not installed, or a key cannot be read.
        OSError: something cannot be read or started.
    """
    with _workshop(keys) as folder:
        written = folder / "signature"
        written.write_bytes(signature)
        ended = run_chain([*filters, _gpgv(folder, str(written), "-")], source, tell)
        feeding = ended.returncodes[:-1]
        checked = judge(ended.output.decode(errors="replace"), keys)
        # Half of a file may be what was signed, too: a shorter one.
        return checked if not any(feeding) else Checked(Outcome.BAD, checked.fingerprint, checked.owner)


def check_text(content: bytes, keys: tuple[Key, ...]) -> SignedText:
    """Check a text with its signature around it (RFC 4880, section 7). Raises FetchRefused, OSError."""
    with _workshop(keys) as folder:
        written, text = folder / "text.asc", folder / "text"
        written.write_bytes(content)
        ended = run_chain([_gpgv(folder, "--output", str(text), str(written))])
        status = ended.output.decode(errors="replace")
        checked = judge(status, keys)
        # gpgv writes the text whatever the signature is worth, and all texts where there are more.
        single = sum(line.startswith(f"{STATUS_PREFIX}PLAINTEXT ") for line in status.splitlines()) == 1
        good = checked.outcome is Outcome.GOOD and single and ended.good
        return SignedText(checked, text.read_bytes()) if good else _without_text(checked)


def _without_text(checked: Checked) -> SignedText:
    bad = checked.outcome is Outcome.GOOD
    return SignedText(Checked(Outcome.BAD, checked.fingerprint, checked.owner) if bad else checked, b"")


def judge(status: str, keys: tuple[Key, ...]) -> Checked:
    """What gpgv's status lines say of the signatures (GnuPG's doc/DETAILS, on --status-fd).

    With more signatures than one, a bad one is bad for all, and else one good one is enough.
    """
    verdicts = [_judge_one(lines, keys) for lines in _signatures(status)]
    for outcome in (Outcome.BAD, Outcome.GOOD, Outcome.UNKNOWN):
        for verdict in verdicts:
            if verdict.outcome is outcome:
                return verdict
    return Checked(Outcome.NONE)


def _judge_one(lines: list[list[str]], keys: tuple[Key, ...]) -> Checked:
    said = {line[0]: line[1:] for line in lines}
    owner = next((" ".join(said[word][1:]) for word in _NAMING if word in said), "")
    valid = said.get("VALIDSIG")
    signers = {valid[0], valid[-1]} if valid else set()
    fingerprint = next((key.fingerprint for key in keys if key.fingerprint in signers), None)
    if said.keys() & {"BADSIG", "REVKEYSIG", "EXPSIG"}:
        return Checked(Outcome.BAD, fingerprint or _first(said, "BADSIG"), owner)
    if valid is None or fingerprint is None:
        unknown = _first(said, "NO_PUBKEY") or (valid[0] if valid else _first(said, "ERRSIG"))
        return Checked(Outcome.UNKNOWN if unknown else Outcome.NONE, unknown, owner)
    if "GOODSIG" in said or ("EXPKEYSIG" in said and _made_before_expiry(said, valid)):
        return Checked(Outcome.GOOD, fingerprint, owner)
    return Checked(Outcome.UNKNOWN, fingerprint, owner)


_NAMING = ("GOODSIG", "EXPKEYSIG", "BADSIG", "REVKEYSIG", "EXPSIG")


def _first(said: dict[str, list[str]], word: str) -> str:
    return said[word][0] if said.get(word) else ""


def _made_before_expiry(said: dict[str, list[str]], valid: list[str]) -> bool:
    """VALIDSIG's third word and KEYEXPIRED's first are seconds since 1970."""
    try:
        return int(valid[2]) < int(said["KEYEXPIRED"][0])
    except (KeyError, IndexError, ValueError):
        return False


def _signatures(status: str) -> Iterator[list[list[str]]]:
    """The words of the status lines, by signature."""
    group: list[list[str]] = []
    for line in status.splitlines():
        words = line.removeprefix(STATUS_PREFIX).split()
        if not line.startswith(STATUS_PREFIX) or not words:
            continue
        if words[0] == "NEWSIG":
            if group:
                yield group
            group = []
        group.append(words)
    if group:
        yield group


def _gpgv(folder: Path, *arguments: str) -> list[str]:
    ring = str(folder / "keys.gpg")
    return ["gpgv", "--homedir", str(folder), "--keyring", ring, "--status-fd", "1", *arguments]


@contextmanager
def _workshop(keys: tuple[Key, ...]) -> Iterator[Path]:
    """A folder with the keyring, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="kvmwizard-") as name:
        folder = Path(name)
        folder.joinpath("keys.gpg").write_bytes(keyring(keys))
        yield folder
