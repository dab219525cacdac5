"""Whether there is room for a tree, told with numbers before root is asked."""

from pathlib import Path

import pytest

from kvmwizard.plan.build_model import InstallTree
from kvmwizard.run import room
from tests.run.trees import KERNEL, RELEASE, install_kernel, packed

MEGABYTE = 1024 * 1024


@pytest.fixture
def action(tmp_path: Path) -> InstallTree:
    files = {**KERNEL, f"boot/vmlinuz-{RELEASE}": b"k" * 12 * MEGABYTE}
    (tmp_path / "packed").write_bytes(packed(tmp_path, files)[0])
    return install_kernel().model_copy(update={"payload": str(tmp_path / "packed")})


def told(monkeypatch: pytest.MonkeyPatch, action: InstallTree, boot: Path, free: int) -> str | None:
    monkeypatch.setattr(room, "BOOT", boot)
    monkeypatch.setattr(room, "_free", lambda _: free)
    words = room.why_no_room(action)
    return words.english if words is not None else None


def test_where_there_is_room_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: InstallTree
) -> None:
    assert told(monkeypatch, action, tmp_path, 17 * MEGABYTE) is None


def test_too_little_room_is_told_with_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: InstallTree
) -> None:
    said = told(monkeypatch, action, tmp_path, 15 * MEGABYTE)
    assert said is not None
    assert f"linux-image-{RELEASE} needs 17 MB at " in said
    assert "15 MB are free there" in said


def test_the_initramfs_is_reckoned_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: InstallTree
) -> None:
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "initrd.img-6.1.0").write_bytes(b"i" * 40 * MEGABYTE)
    assert told(monkeypatch, action, boot, 50 * MEGABYTE) is not None
    assert told(monkeypatch, action, boot, 57 * MEGABYTE) is None
    (boot / f"initrd.img-{RELEASE}").touch()
    assert told(monkeypatch, action, boot, 17 * MEGABYTE) is None


def test_a_package_is_made_before_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: InstallTree
) -> None:
    package = action.model_copy(update={"as_package": True})
    assert told(monkeypatch, package, tmp_path, 30 * MEGABYTE) is not None
    assert told(monkeypatch, package, tmp_path, 41 * MEGABYTE) is None


def test_the_real_file_systems_are_asked(action: InstallTree) -> None:
    assert room.why_no_room(action) is None


@pytest.mark.parametrize("head", [b"", b"{", b"null", b"[1]", b'[["a", 1, "b", ""]]'])
def test_what_is_no_payload_is_an_error(action: InstallTree, head: bytes) -> None:
    Path(action.payload).write_bytes(head)
    with pytest.raises((ValueError, TypeError)):
        room.why_no_room(action)


def test_a_log_without_room_is_why_a_command_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert room.why_no_log(tmp_path / "step.log") is None
    monkeypatch.setattr(room, "_free", lambda _: 4096)
    words = room.why_no_log(tmp_path / "step.log")
    assert words is not None
    assert "Make room" in words.english
