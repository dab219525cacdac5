"""What shows that a file is what was published: fetched before the file, held against it afterwards.

Each proof that can be had must hold, and one must be had. One that cannot be had (no mirror
has it, no pinned key made it) proves nothing either way; one that is false ends the work.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kvmwizard.fetch.archive import decompress_argv
from kvmwizard.fetch.chain import Tell
from kvmwizard.fetch.client import PATIENT, Patience, get_bytes, host_of
from kvmwizard.fetch.refused import UNPROVEN, AnswerRefused, FetchRefused
from kvmwizard.fetch.signature import Checked, Outcome, check_file, check_stream, check_text
from kvmwizard.fetch.wishes import DetachedSignature, ListedChecksum, Proof, PublishedChecksum
from kvmwizard.job import note
from kvmwizard.words import Words, say

LARGEST_SIGNATURE_BYTES = 1024 * 1024
SUM_DIGITS = 64


class ProofRefused(FetchRefused):
    """A proof is false, or none can be had."""


@dataclass(frozen=True)
class Evidence:
    """One proof that holds, as it is kept in the stamp."""

    kind: str
    """As the proof's: `listed-checksum`, `detached-signature` or `published-checksum`."""
    fingerprint: str | None = None
    owner: str | None = None
    url: str | None = None
    """Where the list or signature came from."""

    def as_json(self) -> dict[str, Any]:
        """For the stamp."""
        return asdict(self)


@dataclass(frozen=True)
class ExpectedSum:
    """What the file's SHA-256 must be, and who says so."""

    sha256: str
    evidence: Evidence


@dataclass(frozen=True)
class WaitingSignature:
    """A signature that is checked once the file is here."""

    proof: DetachedSignature
    content: bytes
    url: str


@dataclass
class Gathered:
    """All proofs that could be had for one file."""

    name: str
    sums: list[ExpectedSum] = field(default_factory=list)
    signatures: list[WaitingSignature] = field(default_factory=list)
    missing: list[Words] = field(default_factory=list)
    """Why the others could not be had."""

    @property
    def none(self) -> bool:
        """Nothing can show what the file is."""
        return not self.sums and not self.signatures


def gather(name: str, proofs: tuple[Proof, ...], patience: Patience = PATIENT) -> Gathered:
    """Fetch what proves the file.

    Args:
        name: the file's, as a list of sums has it.
        proofs: the wanted ones.
        patience: with the servers.

    Raises:
        ProofRefused: a list of sums is not what was signed.
        FetchRefused: gpgv or a key is missing.
        OSError: the system's.
    """
    gathered = Gathered(name)
    for proof in proofs:
        if isinstance(proof, PublishedChecksum):
            gathered.sums.append(ExpectedSum(proof.sha256, Evidence("published-checksum")))
        elif isinstance(proof, ListedChecksum):
            _gather(gathered, proof.urls, patience, partial(_sum_in, name, proof))
        else:
            _gather(gathered, proof.urls, patience, partial(_signature_in, proof))
    for words in gathered.missing:
        note(words.english)
    return gathered


def _gather(
    gathered: Gathered,
    urls: tuple[str, ...],
    patience: Patience,
    use: Callable[[bytes, str], ExpectedSum | WaitingSignature | Words],
) -> None:
    """Take the proof from the first mirror that has it."""
    for url in urls:
        try:
            got = use(get_bytes(url, patience=patience), url)
        except AnswerRefused as refused:
            got = refused.words
        if isinstance(got, ExpectedSum):
            gathered.sums.append(got)
            return
        if isinstance(got, WaitingSignature):
            gathered.signatures.append(got)
            return
        gathered.missing.append(got)


def _sum_in(name: str, proof: ListedChecksum, content: bytes, url: str) -> ExpectedSum | Words:
    signed = check_text(content, proof.keys)
    if signed.checked.outcome is Outcome.BAD:
        raise ProofRefused(
            say(
                "The signature of {url} is false: the list of sums there is not what {owner} signed. "
                "Somebody changed it, or the mirror is broken. Nothing was used. Choose another mirror.",
                url=url,
                owner=signed.checked.owner or signed.checked.fingerprint,
            )
        )
    if signed.checked.outcome is not Outcome.GOOD:
        return _not_proven(url, signed.checked)
    for line in signed.text.decode(errors="replace").splitlines():
        digest, _, listed = line.partition("  ")
        if listed == name and len(digest) == SUM_DIGITS:
            evidence = Evidence("listed-checksum", signed.checked.fingerprint, signed.checked.owner, url)
            return ExpectedSum(digest.lower(), evidence)
    return say("{url} does not name {name}.", url=url, name=name)


def _signature_in(proof: DetachedSignature, content: bytes, url: str) -> WaitingSignature | Words:
    if len(content) > LARGEST_SIGNATURE_BYTES or not _may_be_signature(content):
        return say("{url} is no signature.", url=url)
    note(
        say(
            "Whose signature {url} is, is asked before the file is here: over nothing, which gpgv calls bad.",
            url=url,
        ).english
    )
    with Path(os.devnull).open("rb") as nothing:
        # By whom it is can be told before a long download.
        checked = check_stream(content, [], nothing, proof.keys)
    if checked.outcome in {Outcome.UNKNOWN, Outcome.NONE}:
        return _not_proven(url, checked)
    return WaitingSignature(proof, content, url)


def _may_be_signature(content: bytes) -> bool:
    """Armoured, or a packet of OpenPGP (RFC 4880, section 4.2): a page or a text is neither."""
    return b"-----BEGIN PGP SIGNATURE-----" in content or content[:1] >= b"\x80"


def _not_proven(url: str, checked: Checked) -> Words:
    if checked.outcome is Outcome.UNKNOWN:
        return say(
            "{url} is signed by the key {key}, which is not among those that count.",
            url=url,
            key=checked.fingerprint,
        )
    return say("{url} has no signature in it.", url=url)


def refuse_unproven(gathered: Gathered) -> ProofRefused:
    """The refusal of a file that nothing proves."""
    reason = gathered.missing[0] if gathered.missing else say("No signature of it is known.")
    return ProofRefused(
        say(
            "Nothing shows that {name} is what was published, so it is not used. {reason} Choose another "
            "mirror, give the signer's public key, or allow this file to be used unverified.",
            name=gathered.name,
            reason=reason,
        ),
        UNPROVEN,
    )


def hold_against(
    gathered: Gathered, file: Path, url: str, sha256: str, tell: Tell | None = None
) -> tuple[Evidence, ...]:
    """Hold the proofs against the file.

    Args:
        gathered: the proofs.
        file: the whole file.
        url: where it came from.
        sha256: its sum.
        tell: told how much of the file has been read.

    Returns:
        The proofs that hold; empty where none could be had.

    Raises:
        ProofRefused: one is false.
        FetchRefused: gpgv or a decompressor is missing.
        OSError: the system's.
    """
    for expected in gathered.sums:
        if expected.sha256 != sha256:
            raise ProofRefused(_wrong_sum(gathered.name, url, expected, sha256))
    held = [expected.evidence for expected in gathered.sums]
    for signature in gathered.signatures:
        checked = _checked(signature, gathered.name, file, tell)
        if checked.outcome is Outcome.BAD:
            raise ProofRefused(
                say(
                    "The signature {signature} is false: {name} from {host} is not what {owner} signed. "
                    "Somebody changed it, or the mirror is broken. It was removed. Choose another mirror.",
                    signature=signature.url,
                    name=gathered.name,
                    host=host_of(url),
                    owner=checked.owner or checked.fingerprint,
                )
            )
        if checked.outcome is Outcome.GOOD:
            held.append(Evidence("detached-signature", checked.fingerprint, checked.owner, signature.url))
        else:
            words = _not_proven(signature.url, checked)
            gathered.missing.append(words)
            note(words.english)
    return tuple(held)


def _checked(signature: WaitingSignature, name: str, file: Path, tell: Tell | None) -> Checked:
    keys = signature.proof.keys
    if signature.proof.over == "file":
        return check_file(signature.content, file, keys, tell)
    with file.open("rb") as content:
        return check_stream(signature.content, [decompress_argv(name)], content, keys, tell)


def _wrong_sum(name: str, url: str, expected: ExpectedSum, sha256: str) -> Words:
    if expected.evidence.owner is None:
        return say(
            "{name} from {host} is not the file that was published: its SHA-256 is {found} and should be "
            "{wanted}. It was removed. Choose another mirror.",
            name=name,
            host=host_of(url),
            found=sha256,
            wanted=expected.sha256,
        )
    return say(
        "{name} from {host} is not the file in the list that {owner} signed: its SHA-256 is {found} and "
        "should be {wanted}. It was removed. Choose another mirror.",
        name=name,
        host=host_of(url),
        owner=expected.evidence.owner,
        found=sha256,
        wanted=expected.sha256,
    )
