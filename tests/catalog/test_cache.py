"""Lists that are kept: whole or not at all, and believed only where they are ours."""

import json
import os
import time
from pathlib import Path

import pytest

from kvmwizard.catalog.cache import ListCache
from kvmwizard.catalog.listed import Listed

ADDRESS = "https://example.org/v6.x/sha256sums.asc"
LISTED = (
    Listed("6.12"),
    Listed("6.12.1", "2026-11-01", "longterm"),
    Listed("6.13-rc1", None, "mainline", ended=True),
)


def kept(folder: Path) -> Path:
    ListCache(folder).keep(ADDRESS, '"1"', LISTED, ("v6.x",))
    (path,) = (folder / "catalog").iterdir()
    return path


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    path = kept(tmp_path / "not there yet")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    found = ListCache(tmp_path / "not there yet").read(ADDRESS)
    assert found is not None
    assert (found.listed, found.directories, found.etag) == (LISTED, ("v6.x",), '"1"')
    assert time.time() - found.time < 60
    assert ListCache(tmp_path / "not there yet").read(ADDRESS + "x") is None


def test_what_is_confirmed_is_as_new_as_that(tmp_path: Path) -> None:
    path = kept(tmp_path)
    os.utime(path, (1, 1))
    cache = ListCache(tmp_path)
    before = cache.read(ADDRESS)
    assert before is not None
    assert before.time == 1
    cache.confirm(ADDRESS)
    after = cache.read(ADDRESS)
    assert after is not None
    assert time.time() - after.time < 60


def test_the_same_list_is_not_written_again(tmp_path: Path) -> None:
    path = kept(tmp_path)
    os.utime(path, (1, 1))
    number = path.stat().st_ino
    assert kept(tmp_path).stat().st_ino == number
    assert path.stat().st_mtime > 1


def test_a_clock_that_was_set_back_makes_nothing_younger_than_new(tmp_path: Path) -> None:
    os.utime(kept(tmp_path), (2**33, 2**33))
    found = ListCache(tmp_path).read(ADDRESS)
    assert found is not None
    assert found.time <= time.time()


CORRUPT = {
    "empty": b"",
    "torn": b'{"schema_version": 1, "addr',
    "not text": b"\xff\x00",
    "a list": b"[]",
    "deep": b"[" * 100_000,
}

WRONG = {
    "schema": {"schema_version": 2},
    "address": {"address": "https://example.org/elsewhere"},
    "no version": {"listed": [["$(reboot)", None, None, False]]},
    "number": {"listed": [[6, None, None, False]]},
    "short": {"listed": [["6.12"]]},
    "day": {"listed": [["6.12", "\x1b[31m", None, False]]},
    "moniker": {"listed": [["6.12", None, "\x1b", False]]},
    "truth": {"listed": [["6.12", None, None, "yes"]]},
    "etag": {"etag": ["x"]},
    "etag that no header takes": {"etag": "x\r\nHost: elsewhere"},
    "directories": {"directories": [1]},
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_list_is_left_aside_and_told(tmp_path: Path, content: bytes) -> None:
    path = kept(tmp_path)
    path.write_bytes(content)
    cache = ListCache(tmp_path)
    assert cache.read(ADDRESS) is None
    assert [str(path) in notice.english for notice in cache.notices] == [True]
    cache.keep(ADDRESS, None, LISTED)
    assert ListCache(tmp_path).read(ADDRESS) is not None


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_list_with_anything_else_in_it_is_left_aside(tmp_path: Path, change: dict[str, object]) -> None:
    path = kept(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    cache = ListCache(tmp_path)
    assert cache.read(ADDRESS) is None
    assert len(cache.notices) == 1


def test_a_link_a_pipe_and_what_others_may_write_are_left_aside(tmp_path: Path) -> None:
    path = kept(tmp_path)
    content = path.read_bytes()
    path.chmod(0o666)
    assert ListCache(tmp_path).read(ADDRESS) is None
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(content)
    assert ListCache(tmp_path).read(ADDRESS) is None
    path.unlink()
    os.mkfifo(path)
    assert ListCache(tmp_path).read(ADDRESS) is None


def test_a_folder_that_cannot_be_made_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "linked"):
        if folder.name == "linked":
            folder.mkdir()
            (folder / "catalog").symlink_to(tmp_path)
        cache = ListCache(folder)
        cache.keep(ADDRESS, None, LISTED)
        cache.keep(ADDRESS, None, LISTED)
        assert ["cannot be kept" in notice.english for notice in cache.notices] == [True]
        assert "None" not in cache.notices[0].english
    assert not any(path.suffix == ".json" for path in tmp_path.iterdir())


def test_a_validator_that_no_header_takes_is_not_kept(tmp_path: Path) -> None:
    ListCache(tmp_path).keep(ADDRESS, "\u2028\n", LISTED)
    found = ListCache(tmp_path).read(ADDRESS)
    assert found is not None
    assert found.etag is None
