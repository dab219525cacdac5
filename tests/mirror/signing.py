"""A key that signs as the projects' release managers do, made for one test run in a home of its own."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Self

OWNER = "Release Manager <releases@example.org>"
GPG_SECONDS = 120


class SigningKey:
    """A private key and GnuPG's home around it; `with SigningKey.make() as key:` removes both."""

    def __init__(self, home: Path, fingerprint: str) -> None:
        self.home = home
        self.fingerprint = fingerprint
        self.public = home / "public.asc"
        """The public key in ASCII armour: what is configured as pinned."""

    @classmethod
    def make(cls, home: Path | None = None, owner: str = OWNER) -> Self:
        """A new key; `home` is short, since gpg-agent's socket in it must fit 108 bytes."""
        if home is None:
            home = Path(tempfile.mkdtemp(prefix="key-"))
        home.mkdir(mode=0o700, exist_ok=True)
        _gpg(home, "--passphrase", "", "--quick-generate-key", owner, "ed25519", "sign", "never")
        listing = _gpg(home, "--with-colons", "--list-keys").decode()
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        key = cls(home, fingerprint)
        key.public.write_bytes(_gpg(home, "--armor", "--export", fingerprint))
        return key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def environment(self) -> dict[str, str]:
        """For programs that start gpg, as git does."""
        return {**os.environ, "GNUPGHOME": str(self.home)}

    def detached(self, content: IO[bytes], *, armour: bool = True) -> bytes:
        """A signature over all that can be read from there."""
        form = ["--armor"] if armour else []
        return _gpg(self.home, *form, "--output", "-", "--detach-sign", "-", stdin=content)

    def clearsigned(self, text: Path) -> bytes:
        """The text with its signature around it, as sha256sums.asc is."""
        return _gpg(self.home, "--output", "-", "--clear-sign", str(text))

    @property
    def exported(self) -> bytes:
        """The public key without armour."""
        return _gpg(self.home, "--export", self.fingerprint)

    def fingerprints_in(self, key: Path) -> list[str]:
        """The fingerprints of the keys in a file, as GnuPG reads them."""
        listing = _gpg(self.home, "--with-colons", "--show-keys", str(key)).decode()
        return [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")]

    def remove(self) -> None:
        """End gpg-agent, which GnuPG started, and delete the home."""
        subprocess.run(["/usr/bin/gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True)
        # What gpg-agent removes itself may be gone before we come to it.
        shutil.rmtree(self.home, ignore_errors=True)


def _gpg(home: Path, *arguments: str, stdin: IO[bytes] | None = None) -> bytes:
    command = [
        "/usr/bin/gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        *arguments,
    ]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        capture_output=True,
        timeout=GPG_SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command} returned {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout
