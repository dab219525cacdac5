"""Downloads of Linux 6.1.9 from the mirror, in this process and with little patience."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmwizard.fetch.client import Patience
from kvmwizard.fetch.download import Download
from kvmwizard.fetch.wishes import download_wish
from kvmwizard.job import Progress
from kvmwizard.product import Stamp, read_stamp
from kvmwizard.refusal import Refusal
from tests.fetch.workers import IDENTITY
from tests.mirror.mirror import Mirror
from tests.mirror.server import Request

NAME = "linux-6.1.9.tar.xz"
FOLDER = "/pub/linux/kernel/v6.x"
TARBALL = f"{FOLDER}/{NAME}"
SUMS = f"{FOLDER}/sha256sums.asc"
SIGNATURE = f"{FOLDER}/linux-6.1.9.tar.sign"
SHORT = Patience(tries=3, wait_seconds=0.01, connect_seconds=2, stall_seconds=0.6)


@dataclass
class Downloads:
    """Where it is downloaded to, and what is asked."""

    mirror: Mirror
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / NAME

    @property
    def part(self) -> Path:
        return self.folder / f"{NAME}.part"

    @property
    def original(self) -> bytes:
        return self.mirror.layout.kernels.joinpath("v6.x", NAME).read_bytes()

    @property
    def names(self) -> list[str]:
        """What is in the folder."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    @property
    def asked(self) -> list[Request]:
        """What the mirror was asked of the tarball."""
        return [request for request in self.mirror.requests if request.path == TARBALL]

    def url(self, path: str) -> str:
        return self.mirror.server.url + path

    def keys(self) -> list[dict[str, str]]:
        key = self.mirror.key
        return [{"fingerprint": key.fingerprint, "file": str(key.public)}]

    def listed(self, *urls: str) -> dict[str, Any]:
        return {"kind": "listed-checksum", "urls": urls or (self.url(SUMS),), "keys": self.keys()}

    def signed(self, *urls: str) -> dict[str, Any]:
        found = urls or (self.url(SIGNATURE),)
        return {"kind": "detached-signature", "urls": found, "over": "uncompressed", "keys": self.keys()}

    def action(self, **more: object) -> dict[str, Any]:
        """The whole action, but for what is given."""
        return {
            "kind": "download-source",
            "identity": IDENTITY,
            "stamp": str(self.folder / f"{NAME}.stamp"),
            "urls": [self.url(TARBALL)],
            "path": str(self.file),
            "proofs": [self.listed(), self.signed()],
            **more,
        }

    def run(self, **more: object) -> None:
        """Download. Raises Refusal."""
        descriptor = os.open(os.devnull, os.O_WRONLY)
        try:
            Download(download_wish(self.action(**more)), Progress(descriptor), SHORT).run()
        finally:
            os.close(descriptor)

    def refusal(self, **more: object) -> str:
        """Why it is refused. Fails where it is not, and where anything got the file's name."""
        try:
            self.run(**more)
        except Refusal as refused:
            assert NAME not in self.names
            assert self.stamp() is None
            return refused.words.english
        raise AssertionError(f"{NAME} was taken: {self.names}")

    def good(self, **more: object) -> Stamp:
        """Download what must be good, byte for byte."""
        self.run(**more)
        stamp = self.stamp()
        assert stamp is not None
        assert stamp.whole
        assert self.file.read_bytes() == self.original
        assert self.names == [NAME, f"{NAME}.stamp"]
        return stamp

    def stamp(self) -> Stamp | None:
        return read_stamp(self.folder / f"{NAME}.stamp")
