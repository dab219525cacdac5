"""Releases put where kernel.org and download.qemu.org have them, with their sums and signatures."""

import datetime as dt
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.mirror.signing import SigningKey

KERNEL_FOLDER = "pub/linux/kernel"
QEMU_FOLDER = "qemu"
DECOMPRESSORS = {".xz": "xz", ".gz": "gzip", ".bz2": "bzip2"}
PACK_SECONDS = 600


def pack(tree: Path, top: str, tarball: Path) -> None:
    """Pack a tree, without its .git, under one top-level folder; the ending names the compressor."""
    compressor = DECOMPRESSORS[tarball.suffix]
    threads = " -1 -T0" if compressor == "xz" else " -1"
    subprocess.run(
        [
            *("tar", "--create", "--file", str(tarball), f"--use-compress-program={compressor}{threads}"),
            *("--sort=name", "--owner=root:0", "--group=root:0", "--exclude-vcs"),
            # Names of members alone: what links lead to must stay.
            *(f"--transform=flags=r;s,^[.],{top},", "--directory", str(tree), "."),
        ],
        check=True,
        timeout=PACK_SECONDS,
    )


class Layout:
    """A folder that is laid out as the projects' servers are."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.folder = folder
        self.key = key
        self.kernels = folder / KERNEL_FOLDER
        self.qemus = folder / QEMU_FOLDER
        for each in (self.kernels, self.qemus):
            each.mkdir(parents=True, exist_ok=True)

    def add_kernel(self, version: str, source: Path, *, suffix: str = ".tar.xz") -> Path:
        """A release of Linux from a tree, or a tarball that is taken as it is; returns its path here.

        With it come linux-VERSION.tar.sign, over the uncompressed tar, and the line in
        sha256sums.asc.
        """
        series = self.kernels / f"v{version.split('.', maxsplit=1)[0]}.x"
        series.mkdir(exist_ok=True)
        tarball = series / f"linux-{version}{suffix}"
        _put(source, tarball, f"linux-{version}")
        decompress = [DECOMPRESSORS[tarball.suffix], "--decompress", "--stdout", "--", str(tarball)]
        with subprocess.Popen(decompress, stdout=subprocess.PIPE) as plain:
            assert plain.stdout is not None
            series.joinpath(f"linux-{version}.tar.sign").write_bytes(self.key.detached(plain.stdout))
        self.sign_sums(series)
        return tarball

    def sign_sums(self, series: Path) -> None:
        """Make sha256sums.asc of what is there, as kernel.org's autosigner does."""
        names = sorted(path.name for path in series.iterdir() if not path.name.endswith((".sign", ".asc")))
        lines = []
        for name in names:
            with (series / name).open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
        plain = series / ".sums"
        plain.write_text("".join(lines), encoding="utf-8")
        series.joinpath("sha256sums.asc").write_bytes(self.key.clearsigned(plain))
        plain.unlink()

    def add_qemu(self, version: str, source: Path, *, suffix: str = ".tar.xz") -> Path:
        """A release of QEMU from a tree, or a tarball taken as it is, with its .sig; returns its path."""
        tarball = self.qemus / f"qemu-{version}{suffix}"
        _put(source, tarball, f"qemu-{version}")
        with tarball.open("rb") as file:
            tarball.with_name(tarball.name + ".sig").write_bytes(self.key.detached(file, armour=False))
        return tarball

    def write_releases(self, *, stable: str, longterm: Sequence[str] = (), ended: Sequence[str] = ()) -> Path:
        """releases.json with these as its current heads; `ended` are marked as at their end of life.

        Where kernel.org has it, and where a mirror of its kernels may have it.
        """
        marked = [("stable", stable, False)]
        marked += [("longterm", version, False) for version in longterm]
        marked += [("longterm" if version in longterm else "stable", version, True) for version in ended]
        content = {
            "latest_stable": {"version": stable},
            "releases": [_release(moniker, version, eol=eol) for moniker, version, eol in marked],
        }
        path = self.folder / "releases.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        shutil.copyfile(path, self.kernels / path.name)
        return path


def _put(source: Path, tarball: Path, top: str) -> None:
    if source.is_dir():
        pack(source, top, tarball)
    else:
        shutil.copyfile(source, tarball)


def _release(moniker: str, version: str, *, eol: bool) -> dict[str, object]:
    series = f"https://cdn.kernel.org/pub/linux/kernel/v{version.split('.', maxsplit=1)[0]}.x"
    released = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    candidate = re.search(r"-rc\d+$", version) is not None
    return {
        "moniker": "mainline" if candidate else moniker,
        "version": version,
        "iseol": eol,
        "released": {"timestamp": int(released.timestamp()), "isodate": released.date().isoformat()},
        "source": f"{series}/linux-{version}.tar.xz",
        "pgp": None if candidate else f"{series}/linux-{version}.tar.sign",
        "patch": {"full": None, "incremental": None},
        "changelog": None,
        "gitweb": None,
        "diffview": None,
    }
