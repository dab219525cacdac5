"""kill -9 and a full disk in the middle: the next try ends as if nothing had been."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fetch.downloads import NAME, TARBALL, Downloads
from tests.fetch.workers import BUILDER, LIBRARIES, Bench
from tests.mirror.faults import Fault
from tests.mirror.layout import pack

WAIT_SECONDS = 30.0


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def peak_memory(process: "subprocess.Popen[bytes]") -> int:
    """The most bytes that were resident so far (proc(5), VmHWM)."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture
def wanted(builder: Bench, downloads: Downloads) -> Iterator[Downloads]:
    """The same download into the builder's folder, with a key that the builder may read."""
    key = downloads.mirror.key
    ours = key.public
    key.public = builder.folder / "key.asc"
    key.public.write_bytes(ours.read_bytes())
    key.public.chmod(0o644)
    yield Downloads(downloads.mirror, builder.folder / "downloads")
    key.public = ours


def test_a_killed_download_goes_on_where_it_was(builder: Bench, wanted: Downloads) -> None:
    wanted.mirror.fault(TARBALL, Fault("slow", rate=2_000_000))
    process = builder.start(wanted.action())
    wait_until(lambda: wanted.part.exists() and wanted.part.stat().st_size > 300_000)
    assert peak_memory(process) < 40_000_000
    kill(process)
    came = wanted.part.stat().st_size
    assert wanted.names == [f"{NAME}.part", f"{NAME}.part.json"]
    wanted.mirror.heal(TARBALL)
    done = builder.work(wanted.action())
    assert done.returncode == 0, done.log
    assert wanted.file.read_bytes() == wanted.original
    assert wanted.names == [NAME, f"{NAME}.stamp"]
    assert [request.range for request in wanted.asked] == [None, f"bytes={came}-"]
    assert [request.status for request in wanted.asked] == [200, 206]


def test_a_killed_unpacking_begins_anew_and_leaves_nothing(builder: Bench, small_tree: Path) -> None:
    with small_tree.joinpath("zeros").open("wb") as file:
        file.truncate(120_000_000)
    archive = builder.folder / "linux-6.1.9.tar.gz"
    pack(small_tree, "linux-6.1.9", archive)
    archive.chmod(0o644)
    unfinished = builder.tree.parent / ".source.unfinished"
    process = builder.start({"kind": "unpack-source", "archive": str(archive), "tree": str(builder.tree)})
    wait_until(unfinished.joinpath("linux-6.1.9", "zeros").exists)
    kill(process)
    assert unfinished.exists()
    assert not builder.tree.exists()
    assert builder.read_stamp() is None
    done = builder.unpack(archive)
    assert done.returncode == 0, done.log
    assert builder.tree.joinpath("zeros").stat().st_size == 120_000_000
    assert sorted(path.name for path in builder.tree.parent.iterdir()) == ["source", "source.stamp"]


SMALL_DISK = """\
import json, os, subprocess, sys
folder, size, owner, commands = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
options = f"size={size},uid={owner},gid={owner},mode=755"
subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
for command in commands:
    if command == "grow":
        subprocess.run(["/usr/bin/mount", "-o", "remount,size=64m", folder], check=True)
        continue
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    names = sorted(name for _, _, files in os.walk(folder) for name in files)
    print(json.dumps({"returncode": ended.returncode, "log": ended.stdout, "names": names}))
"""


def on_small_disk(folder: Path, size: str, *commands: object) -> list[dict[str, object]]:
    """Run commands with a small disk of their own on the folder, and tell how each ended."""
    argv = ["/usr/bin/unshare", "--mount", sys.executable, "-c", SMALL_DISK, str(folder), size, str(BUILDER)]
    done = subprocess.run(
        [*argv, json.dumps(commands)], check=True, capture_output=True, text=True, env=LIBRARIES, cwd="/"
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@needs_root
def test_a_full_disk_ends_a_download_which_then_goes_on(builder: Bench, wanted: Downloads) -> None:
    disk = wanted.folder
    disk.mkdir()
    # Without a length nobody can tell beforehand that there is no room.
    wanted.mirror.fault(TARBALL, Fault("cut-without-length", after=10**9, times=1))
    command = builder.argv(wanted.action())
    first, second, third = on_small_disk(disk, "1m", command, command, "grow", command)
    assert first["returncode"] == 1
    assert "The disk is full" in str(first["log"])
    assert first["names"] == [f"{NAME}.part", f"{NAME}.part.json"]
    assert second["returncode"] == 1
    assert "MB free at" in str(second["log"])
    assert third["returncode"] == 0, third["log"]
    assert third["names"] == [NAME, f"{NAME}.stamp"]
    sums = hashlib.sha256(wanted.original).hexdigest()
    assert f"should be {sums}" not in str(third["log"])


@needs_root
def test_a_full_disk_ends_an_unpacking_which_then_succeeds(builder: Bench, small_tree: Path) -> None:
    archive = builder.folder / "linux-6.1.9.tar.bz2"
    small_tree.joinpath("zeros").write_bytes(bytes(20_000_000))
    pack(small_tree, "linux-6.1.9", archive)
    archive.chmod(0o644)
    builder.tree.parent.mkdir()
    command = builder.argv({"kind": "unpack-source", "archive": str(archive), "tree": str(builder.tree)})
    first, second, third = on_small_disk(builder.tree.parent, "8m", command, "grow", command, command)
    assert first["returncode"] == 1
    # bzip2 does not tell how large its content gets.
    assert "The disk is full" in str(first["log"])
    assert first["names"] == []
    assert second["returncode"] == 0, second["log"]
    assert "source.stamp" in str(second["names"])
    assert third["names"] == second["names"]
