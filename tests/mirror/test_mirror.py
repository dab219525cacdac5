"""The mirror that other tests rely on does what kernel.org and download.qemu.org do, and the faults."""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.mirror.faults import Fault
from tests.mirror.mirror import Mirror

KERNEL = "/pub/linux/kernel/v6.x/linux-6.1.9.tar.xz"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    folder.joinpath("Makefile").write_text("VERSION = 6\n", encoding="utf-8")
    folder.joinpath("data").write_bytes(os.urandom(100_000))
    return folder


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers=named)  # noqa: S310  -- the mirror's own address
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  -- as above
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_a_kernel_has_its_sums_its_signature_and_a_place_in_the_listing(mirror: Mirror, tree: Path) -> None:
    tarball = mirror.layout.add_kernel("6.1.9", tree)
    _, listing, _ = get(f"{mirror.kernel_url}/v6.x/")
    assert b'<a href="linux-6.1.9.tar.xz">linux-6.1.9.tar.xz</a>  ' in listing
    _, sums, _ = get(f"{mirror.kernel_url}/v6.x/sha256sums.asc")
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    assert f"{digest}  linux-6.1.9.tar.xz".encode() in sums
    names = subprocess.run(
        ["/usr/bin/tar", "tf", str(tarball)], check=True, capture_output=True, text=True
    ).stdout
    assert "linux-6.1.9/Makefile" in names.splitlines()


def test_ranges_are_answered_only_for_the_same_file(mirror: Mirror, tree: Path) -> None:
    whole = mirror.layout.add_kernel("6.1.9", tree).read_bytes()
    url = mirror.server.url + KERNEL
    _, body, headers = get(url)
    assert body == whole
    assert get(url, Range="bytes=500-", If_Range=headers["ETag"])[:2] == (206, whole[500:])
    assert get(url, Range="bytes=500-", If_Range='"another"')[:2] == (200, whole)
    assert get(url, Range=f"bytes={len(whole)}-")[0] == 416
    assert get(url, If_None_Match=headers["ETag"])[0] == 304


def test_faults_are_met_in_turn(mirror: Mirror, tree: Path) -> None:
    whole = mirror.layout.add_kernel("6.1.9", tree).read_bytes()
    url = mirror.server.url + KERNEL
    mirror.fault(KERNEL, Fault("status", status=503, times=2), Fault("truncate", after=10, times=1))
    assert [get(url)[0], get(url)[0]] == [503, 503]
    with pytest.raises(http.client.IncompleteRead):
        get(url)
    assert get(url)[1] == whole
    mirror.fault(KERNEL, Fault("redirect"))
    assert get(url)[0] == 302
    mirror.fault(KERNEL, Fault("html"))
    assert get(url)[1].startswith(b"<!DOCTYPE html>")
    mirror.heal(KERNEL)
    assert get(url)[1] == whole


def test_tags_are_served_and_signed(mirror: Mirror, tree: Path, tmp_path: Path) -> None:
    mirror.add_kernel_tag("v6.1.9", tree)
    listed = subprocess.run(
        ["/usr/bin/git", "ls-remote", "--tags", mirror.kernel_git], check=True, capture_output=True, text=True
    ).stdout
    assert "refs/tags/v6.1.9" in listed
    clone = str(tmp_path / "clone")
    subprocess.run(["/usr/bin/git", "clone", "--quiet", "--bare", mirror.kernel_git, clone], check=True)
    subprocess.run(
        ["/usr/bin/git", f"--git-dir={clone}", "verify-tag", "v6.1.9"],
        check=True,
        capture_output=True,
        env=mirror.key.environment,
    )


def test_it_runs_as_a_process(tree: Path, tmp_path: Path) -> None:
    options = ["--kernel", f"6.1.9={tree}", "--qemu", f"9.1.0={tree}"]
    command = [sys.executable, "-m", "tests.mirror", str(tmp_path / "served"), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert get(f"{said['qemu_url']}/qemu-9.1.0.tar.xz.sig")[0] == 200
        assert json.loads(get(said["releases_url"])[1])["latest_stable"] == {"version": "6.1.9"}
        assert "BEGIN PGP PUBLIC KEY BLOCK" in Path(said["key"]).read_text(encoding="ascii")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
