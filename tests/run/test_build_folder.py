"""The folder that everything is built in belongs to whoever builds, and to nobody else."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kvmwizard.run.build_folder import make_build_folder
from kvmwizard.run.refused import RunRefused

NOBODYS = "61183"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root builds as somebody else: run as root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder below folders that are root's alone and open to all, which /tmp is not."""
    with tempfile.TemporaryDirectory(dir="/run", prefix="kvmwizard-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def refusal(folder: Path, builder: str | None) -> str:
    with pytest.raises(RunRefused) as refused:
        make_build_folder(folder, builder)
    return refused.value.words.english


def test_it_is_made_private_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "a/b/build"
    before = os.umask(0o077)
    try:
        make_build_folder(folder, None)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert folder.parent.stat().st_mode & 0o7777 == 0o755
    make_build_folder(folder, None)


@root_only
def test_steps_that_begin_at_once_make_it_once(place: Path) -> None:
    for number in range(20):
        folder = place / f"{number}/cache/kvmwizard/build"
        with ThreadPoolExecutor(8) as steps:
            made = [steps.submit(make_build_folder, folder, NOBODYS) for _ in range(8)]
        assert [each.exception() for each in made] == [None] * 8
        assert folder.stat().st_uid == int(NOBODYS)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert "belongs to" in refusal(tmp_path / "link", None)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_a_folder_that_others_may_look_into_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "build"
    folder.mkdir()
    folder.chmod(mode)
    assert "choose another build folder" in refusal(folder, None)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be made: Not a directory" in refusal(tmp_path / "file/build", None)


@root_only
def test_in_folders_of_root_s_root_makes_it_for_the_builder(place: Path) -> None:
    folder = place / "cache/build"
    make_build_folder(folder, NOBODYS)
    assert (folder.stat().st_uid, folder.stat().st_gid) == (61183, 61183)
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert folder.parent.stat().st_uid == 0
    make_build_folder(folder, NOBODYS)


@root_only
def test_in_somebody_else_s_folder_the_builder_makes_it(place: Path) -> None:
    home = place / "home"
    home.mkdir()
    os.chown(home, 61183, 61183)
    make_build_folder(home / "deep/build", NOBODYS)
    assert (home / "deep").stat().st_uid == 61183
    assert (home / "deep/build").stat().st_mode & 0o7777 == 0o700


@root_only
def test_root_is_led_nowhere_by_the_builder_s_links(place: Path) -> None:
    home, secret = place / "home", place / "secret"
    home.mkdir()
    secret.mkdir(mode=0o700)
    os.chown(home, 61183, 61183)
    (home / "deep").symlink_to(secret)
    assert "Permission denied" in refusal(home / "deep/build", NOBODYS)
    assert list(secret.iterdir()) == []


@root_only
def test_another_s_folder_is_refused(place: Path) -> None:
    (place / "build").mkdir(mode=0o700)
    assert "belongs to 61183 alone" in refusal(place / "build", NOBODYS)


@root_only
def test_a_builder_whom_nobody_knows_is_told(tmp_path: Path) -> None:
    assert "no user mallory" in refusal(tmp_path / "build", "mallory")
