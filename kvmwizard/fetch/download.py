"""Downloading a file and verifying it: nothing is left under its name that was not proven, or agreed to."""

import hashlib
import stat
from dataclasses import replace
from pathlib import Path

from kvmwizard.fetch.archive import is_whole
from kvmwizard.fetch.client import PATIENT, Patience, host_of
from kvmwizard.fetch.partial_file import BLOCK_BYTES, PartialFile
from kvmwizard.fetch.proofs import Evidence, Gathered, ProofRefused, gather, hold_against, refuse_unproven
from kvmwizard.fetch.transfer import Transfer
from kvmwizard.fetch.wishes import DownloadWish, download_wish
from kvmwizard.job import Job, Progress, note
from kvmwizard.paths import PRIVATE_MODE, sync_directory
from kvmwizard.product import write_stamp
from kvmwizard.words import Words, say

TRIES_FOR_PROOFS = 2
"""They are small and on every mirror: the next one is asked sooner."""


def download_source(job: Job) -> None:
    """The action `download-source`. Raises FetchRefused, OSError."""
    Download(download_wish(job.action), job.progress).run()


class Download:
    """One file that is wanted, and how far it has come."""

    def __init__(self, wish: DownloadWish, progress: Progress, patience: Patience = PATIENT) -> None:
        """Nothing is done yet."""
        self._wish = wish
        self._progress = progress
        self._patience = patience
        self._name = wish.path.name

    def run(self) -> None:
        """Get the file, verify it, and say so in its stamp. Raises FetchRefused, OSError."""
        for folder in (self._wish.path.parent, self._wish.stamp.parent):
            folder.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
        self._progress.tell(say("Asking for the signatures of {name}", name=self._name))
        few = replace(self._patience, tries=min(TRIES_FOR_PROOFS, self._patience.tries))
        gathered = gather(self._name, self._wish.proofs, few)
        if gathered.none and not self._wish.unverified:
            raise refuse_unproven(gathered)
        if not self._reuse(gathered):
            self._download(gathered)

    def _reuse(self, gathered: Gathered) -> bool:
        """Whether the file is here already and the proofs hold; one that they do not is removed."""
        path = self._wish.path
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise FileExistsError(17, "it is no regular file", str(path))
        except FileNotFoundError:
            return False
        sha256 = self._hash(path)
        if not gathered.none:
            try:
                evidence = self._verify(gathered, path, path.as_uri(), sha256)
            except ProofRefused as refused:
                note(refused.words.english)
            else:
                # A process that was killed after it had named the file may have left its beginnings.
                PartialFile(path).remove()
                self._conclude(sha256, evidence)
                return True
        # Nobody can tell what a file is that was left here unproven.
        path.unlink()
        return False

    def _download(self, gathered: Gathered) -> None:
        with PartialFile(self._wish.path) as part:
            part.take_up(lambda size: self._tell_reading(size, None))
            urls, second_try = self._wish.urls, False
            while True:
                url = Transfer(self._name, part, self._patience, self._tell_download).fetch(urls)
                try:
                    evidence = self._verify(gathered, part.path, url, part.sha256)
                    break
                except ProofRefused as refused:
                    # Bytes of two answers, or of one that may have broken off unnoticed, are no proof of
                    # anything against a mirror: once more, all of it, and from the next one if there is one.
                    doubtful = part.resumed or part.origin is None or part.origin.length is None
                    part.empty()
                    if second_try or not doubtful:
                        part.remove()
                        raise
                    second_try = True
                    note(refused.words.english)
                    after = urls.index(url) + 1 if url in urls else 0
                    urls = (*urls[after:], *urls[:after])
            part.keep(self._wish.path)
            sync_directory(self._wish.path.parent)
            self._conclude(part.sha256, evidence)

    def _verify(self, gathered: Gathered, file: Path, url: str, sha256: str) -> tuple[Evidence, ...]:
        size = file.stat().st_size
        words = say("Verifying {name}", name=self._name)
        evidence = hold_against(
            gathered, file, url, sha256, lambda read: self._progress.tell(words, read, size, "bytes")
        )
        if not evidence and not self._wish.unverified:
            raise refuse_unproven(gathered)
        if not evidence and not is_whole(file, self._name):
            raise ProofRefused(
                say(
                    "{name} from {host} is not whole: it cannot be decompressed. It was removed. Try again, "
                    "or choose another mirror.",
                    name=self._name,
                    host=host_of(url),
                )
            )
        return evidence

    def _conclude(self, sha256: str, evidence: tuple[Evidence, ...]) -> None:
        path = self._wish.path
        size = path.stat().st_size
        for proof in evidence:
            note(f"{proof.kind} holds: {proof.fingerprint or sha256} {proof.owner or ''}".rstrip())
        words = _done_words(self._name, evidence)
        about = {"sha256": sha256, "bytes": size, "verified_by": [proof.as_json() for proof in evidence]}
        write_stamp(self._wish.stamp, self._wish.identity, [path], about, words)
        self._progress.tell(words, size, size, "bytes")

    def _hash(self, path: Path) -> str:
        digest, read, size = hashlib.sha256(), 0, path.stat().st_size
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                read += len(block)
                self._tell_reading(read, size)
        return digest.hexdigest()

    def _tell_reading(self, read: int, size: int | None) -> None:
        self._progress.tell(say("Reading what is here of {name}", name=self._name), read, size, "bytes")

    def _tell_download(self, size: int, total: int | None) -> None:
        self._progress.tell(say("Downloading {name}", name=self._name), size, total, "bytes")


def _done_words(name: str, evidence: tuple[Evidence, ...]) -> Words:
    if not evidence:
        return say("{name} is here, unverified", name=name)
    owner = next((proof.owner for proof in evidence if proof.owner is not None), None)
    if owner is None:
        return say("{name} is here, with the published sum", name=name)
    return say("{name} is here, signature of {owner} good", name=name, owner=owner)
