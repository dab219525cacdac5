"""One file that holds a staged tree, and whose head stands for every byte of it."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from kvmwizard.build.payload import PayloadRefused, write_payload


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A tree of two files and an empty folder."""
    folder = tmp_path / "stage"
    (folder / "lib/modules/6.1.0/kernel").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "boot").mkdir()
    (folder / "boot/vmlinuz-6.1.0").write_bytes(b"kernel")
    module = folder / "lib/modules/6.1.0/kernel/kvm.ko"
    module.write_bytes(b"\x7fELF" * 1000)
    module.chmod(0o6700)
    return folder


def test_the_head_lists_every_file_and_the_contents_follow(stage: Path, tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    packed = write_payload(stage, payload)

    head, contents = payload.read_bytes().split(b"\n", 1)
    module = b"\x7fELF" * 1000
    assert json.loads(head) == [
        ["boot/vmlinuz-6.1.0", 0o644, 6, hashlib.sha256(b"kernel").hexdigest()],
        ["lib/modules/6.1.0/kernel/kvm.ko", 0o755, 4000, hashlib.sha256(module).hexdigest()],
    ]
    assert contents == b"kernel" + module
    assert (packed.files, packed.bytes) == (2, 4006)
    assert packed.digest == hashlib.sha256(head + b"\n").hexdigest()
    assert payload.stat().st_mode & 0o7777 == 0o600


def test_the_same_tree_is_packed_to_the_same_bytes(stage: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_payload(stage, first)
    os.utime(stage / "boot/vmlinuz-6.1.0", (1, 1))
    write_payload(stage, second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["a b", "a\nb", "-rf", "$(id)", "a\\b", "ü", "lib/-x/y", "...", "\udcff"])
def test_only_plain_names_are_packed(stage: Path, tmp_path: Path, name: str) -> None:
    path = stage / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    if name == "...":
        write_payload(stage, tmp_path / "payload")
        return
    with pytest.raises(PayloadRefused):
        write_payload(stage, tmp_path / "payload")
    assert [each.name for each in tmp_path.iterdir()] == ["stage"]


@pytest.mark.parametrize("target", ["/etc/shadow", "boot/vmlinuz-6.1.0", "boot", "nowhere"])
def test_links_are_refused(stage: Path, tmp_path: Path, target: str) -> None:
    (stage / "build").symlink_to(target)
    with pytest.raises(PayloadRefused, match="build"):
        write_payload(stage, tmp_path / "payload")


def test_a_pipe_is_refused_without_being_opened(stage: Path, tmp_path: Path) -> None:
    os.mkfifo(stage / "boot/pipe")
    with pytest.raises(PayloadRefused):
        write_payload(stage, tmp_path / "payload")


def test_nothing_is_no_payload(tmp_path: Path) -> None:
    (tmp_path / "stage/empty").mkdir(parents=True)
    with pytest.raises(PayloadRefused):
        write_payload(tmp_path / "stage", tmp_path / "payload")
