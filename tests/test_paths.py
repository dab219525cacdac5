"""Directories that may hold state, and files that get there whole."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kvmwizard.paths import (
    DirectoryRefused,
    FileRefused,
    private_directory,
    read_own_file,
    remove_unfinished,
    state_directory,
    trusted_directory,
    write_atomically,
)

AS_ROOT = os.geteuid() == 0


def refusal(path: Path) -> str:
    with pytest.raises(DirectoryRefused) as refused:
        private_directory(path)
    return refused.value.words.english


def test_the_state_directory_is_where_the_base_directories_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/alice")
    assert state_directory() == Path("/home/alice/.local/state/kvmwizard")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/alice")
    assert state_directory() == Path("/var/alice/kvmwizard")


def test_the_chosen_state_directory_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert state_directory(Path("state")) == tmp_path / "state"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_a_missing_directory_is_made_private(tmp_path: Path, umask: int) -> None:
    (tmp_path / "above").mkdir()
    before = os.umask(umask)
    try:
        directory = private_directory(tmp_path / "above" / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(0o755)
    assert private_directory(directory) == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert "Other users may write" in refusal(tmp_path)


def test_a_link_is_refused_even_to_a_good_directory(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("good")
    assert "symbolic link" in refusal(tmp_path / "link")
    (tmp_path / "nowhere").symlink_to("absent")
    assert "symbolic link" in refusal(tmp_path / "nowhere")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in refusal(tmp_path / "file")
    assert "Not a directory" in refusal(tmp_path / "file" / "state")


def test_only_looking_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DirectoryRefused):
        trusted_directory(tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(AS_ROOT, reason="root may write to every directory")
def test_a_directory_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "not writable" in refusal(tmp_path)


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a directory to someone else")
def test_someone_elses_directory_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    assert "belongs to the user with id 65534" in refusal(tmp_path)


@pytest.mark.skipif(not AS_ROOT, reason="it is root who must not trust others' directories")
def test_a_directory_inside_someone_elses_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    assert "root must not trust" in refusal(tmp_path / "above" / "state")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="it is root who must not trust others' links")
def test_root_makes_nothing_where_someone_elses_link_leads(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (tmp_path / "roots").mkdir()
    theirs.mkdir()
    (theirs / "link").symlink_to(tmp_path / "roots")
    os.chown(theirs, 65534, 65534)
    assert "root must not trust" in refusal(theirs / "link" / "above" / "state")
    assert list((tmp_path / "roots").iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="it is root who must not trust a group's directory")
def test_a_directory_inside_one_that_a_group_may_change_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 0, 50)
    tmp_path.chmod(0o775)
    assert "root must not trust" in refusal(tmp_path / "state")


def test_links_on_the_way_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert state_directory(tmp_path / "link" / "state") == tmp_path / "real" / "state"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444])
def test_a_file_has_its_mode_and_content(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    for content in (b"first", b"", b"\x00" * 100_000):
        write_atomically(path, content, mode)
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    path = tmp_path / "link"
    path.symlink_to(target)
    write_atomically(path, b"new")
    assert target.read_bytes() == b"kept"
    assert not path.is_symlink()


WRITER = """
import sys
from pathlib import Path
from kvmwizard.paths import write_atomically
print("writing", flush=True)
for number in range(1_000_000):
    write_atomically(Path(sys.argv[1]), str(number).encode().rjust(300_000))
"""


def test_a_killed_writer_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old".rjust(300_000))
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.stdout.close()
            writer.kill()
        assert len(path.read_bytes()) == 300_000
    remove_unfinished(path)
    assert list(tmp_path.iterdir()) == [path]


def test_directories_above_that_are_missing_are_made_private_too(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private_directory(tmp_path / "share" / "above" / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "share").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "share" / "above").stat().st_mode) == 0o700


def test_a_file_is_read_as_far_as_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"12345")
    assert (read_own_file(path, 5).content, read_own_file(path, 5).whole) == (b"12345", True)
    assert (read_own_file(path, 4).content, read_own_file(path, 4).whole) == (b"1234", False)


def test_a_socket_is_no_file_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        with pytest.raises(FileRefused) as refused:
            read_own_file(path, 5)
    assert "not a plain file" in refused.value.words.english
