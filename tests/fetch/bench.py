"""What getting a source takes, for `tests.bench`: a download against curl, unpacking against tar.

Both with a real tarball of the kernel where Debian's package linux-source is installed, else
with as many bytes of no meaning.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.measure import Result, Target, compare, interleaved
from tests.fetch.workers import ROOT, Bench, bench
from tests.mirror.layout import pack

NAME = "linux-6.1.192.tar.xz"
DEBIAN_S = Path("/usr/src/linux-source-6.1.tar.xz")
OTHERWISE_BYTES = 140_000_000
MIRROR_RATE = 60_000_000
"""Bytes a second: half a gigabit, which few mirrors give."""
NEEDED_BYTES = 6_000_000_000


def fetch_results() -> list[Result]:
    """All of them; takes some three minutes, and 5 GB in memory where there is so much, else on the disk."""
    with bench(_roomy_folder()) as builder:
        builder.folder.chmod(0o755)
        archive = _archive(builder.folder)
        return [*_download_results(builder, archive), *_unpack_results(builder, archive)]


def _roomy_folder() -> Path | None:
    """Where removing 80,000 files between two rounds takes no minutes, as it may on a disk with discard."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > NEEDED_BYTES else None


def _archive(folder: Path) -> Path:
    series = folder / "served" / "www" / "qemu"
    series.mkdir(parents=True)
    archive = series / NAME
    if DEBIAN_S.is_file():
        shutil.copyfile(DEBIAN_S, archive)
    else:
        tree = folder / "tree"
        tree.mkdir()
        tree.joinpath("Makefile").write_text("VERSION = 6\n", encoding="utf-8")
        for number in range(1000):
            tree.joinpath(f"file{number}").write_bytes(os.urandom(OTHERWISE_BYTES // 1000))
        pack(tree, "linux-6.1.192", archive)
    archive.chmod(0o644)
    return archive


def _download_results(builder: Bench, archive: Path) -> list[Result]:
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    served = builder.folder / "served"
    with _server(served) as base:
        free = _download(builder, base, sha256)
    with _server(served, "--fault", f"slow=/qemu/{NAME}", "--rate", str(MIRROR_RATE)) as base:
        limited = _download(builder, base, sha256)
        memory = _peak_memory(builder, base, sha256)
    title = f"download, hash and save a kernel at {MIRROR_RATE // 1_000_000} MB/s"
    target = Target(1.25, "")
    return [
        replace(
            compare("download", title, "s", limited, "curl --output"), target=target, target_is_on_ratio=True
        ),
        compare("download-loopback", "the same from memory, without a limit", "s", free, "curl --output"),
        Result("download-memory", "its most resident memory", memory, "MB", (memory,), Target(40, "MB")),
    ]


def _action(builder: Bench, base: str, sha256: str) -> dict[str, Any]:
    return {
        "kind": "download-source",
        "urls": [f"{base}/{NAME}"],
        "path": str(builder.folder / "downloads" / NAME),
        "proofs": [{"kind": "published-checksum", "sha256": sha256}],
    }


def _download(builder: Bench, base: str, sha256: str) -> tuple[list[float], list[float]]:
    action = _action(builder, base, sha256)
    other = builder.folder / "curl"
    curl = ["/usr/bin/curl", "--silent", "--fail", "--output", str(other), f"{base}/{NAME}"]

    def ours() -> float:
        Path(action["path"]).unlink(missing_ok=True)
        return _seconds(lambda: _must(builder.start(action).wait() == 0))

    def theirs() -> float:
        other.unlink(missing_ok=True)
        return _seconds(lambda: subprocess.run(curl, check=True))

    return interleaved(ours, theirs)


def _peak_memory(builder: Bench, base: str, sha256: str) -> float:
    """The most that was resident, in megabytes, which the system keeps (proc(5))."""
    action = _action(builder, base, sha256)
    Path(action["path"]).unlink()
    process, most = builder.start(action), 0
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
        most = max([most, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))])
        time.sleep(0.01)
    _must(process.returncode == 0)
    return most * 1024 / 1_000_000


def _unpack_results(builder: Bench, archive: Path) -> list[Result]:
    theirs = builder.folder / "theirs"

    def ours() -> float:
        _remove(builder.tree.parent)
        return _seconds(lambda: _must(builder.unpack(archive).returncode == 0))

    def tar() -> float:
        _remove(theirs)
        theirs.mkdir()
        command = ["/usr/bin/tar", "--extract", f"--file={archive}", f"--directory={theirs}"]
        return _seconds(lambda: subprocess.run(command, check=True))

    result = compare("unpack", "unpack a kernel and look it over", "s", interleaved(ours, tar), "tar xf")
    return [replace(result, target=Target(1.15, ""), target_is_on_ratio=True)]


def _must(good: bool) -> None:
    if not good:
        raise RuntimeError("the worker refused")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _remove(folder: Path) -> None:
    subprocess.run(["/usr/bin/rm", "-rf", "--", str(folder)], check=True)


@contextmanager
def _server(folder: Path, *options: str) -> Iterator[str]:
    """The mirror in a process of its own, so that it does not share our interpreter."""
    command = [sys.executable, "-m", "tests.mirror", str(folder), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["qemu_url"])
        finally:
            process.terminate()
