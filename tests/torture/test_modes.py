"""umask 000, a cache and a state directory open to all: files 0600, directories 0700, or refused."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from kvmwizard.catalog.cache import ListCache
from kvmwizard.catalog.listed import Listed
from kvmwizard.commands.fault import keep_details
from kvmwizard.fetch.partial_file import Origin, PartialFile
from kvmwizard.product import write_stamp
from kvmwizard.run.launch import start_runner
from kvmwizard.run.liveness import living_runner
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from tests.cli.command import KVMWIZARD, environment, kvmwizard
from tests.conftest import Counts
from tests.run.plans import files, plan_of, removing_step

ADDRESS = "https://example.org/"
LISTED = (Listed("6.12.104", None, None),)


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> int:
    before = os.umask(request.param)
    request.addfinalizer(lambda: os.umask(before))  # noqa: PT021  -- beside the parameter
    return int(request.param)


def open_ones(folder: Path) -> list[str]:
    """What below the folder others may read or write, with its mode."""
    found = []
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if not path.is_symlink() and mode != (0o700 if path.is_dir() else 0o600):
            found.append(f"{path.relative_to(folder)} {mode:04o}")
    return found


def test_whatever_is_kept_is_private(tmp_path: Path, umask: int, counts: Counts) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    state, cache = home / ".local" / "state" / "kvmwizard", home / ".cache" / "kvmwizard"
    sessions = SessionStore(state)
    assert sessions.lock()
    sessions.save(Session())
    sessions.path.write_bytes(b"spoilt")
    assert sessions.load().notice is not None
    sessions.save(Session())
    keep_details(state, ValueError("a fault"))
    ListCache(cache).keep(ADDRESS, None, LISTED)
    part = PartialFile(state / "download")
    with part:
        part.begin(Origin(ADDRESS, None, None, 4))
        part.write(b"half")
    write_stamp(state / "stamp.json", "identity", [sessions.path])
    runs = RunStore(state)
    (path,) = files(tmp_path, "path")
    run_id = runs.create(plan_of(removing_step(path)))
    start_runner(runs, run_id)
    while living_runner(runs.directory(run_id)) is not None:
        os.sched_yield()
    assert runs.read(run_id).status == "done"
    found = open_ones(home)
    counts(f"modes under umask {umask:04o}", files=len(list(home.rglob("*"))), open_to_others=len(found))
    assert found == []
    sessions.unlock()


def test_the_programs_own_commands_leave_nothing_open(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for words in (["status"], ["versions", "kernel", "--offline"], ["plan"]):
        ended = subprocess.run(
            [*KVMWIZARD, *words], env=environment(home), capture_output=True, check=False, timeout=60, umask=0
        )
        assert ended.stdout
    assert open_ones(home) == []


@pytest.mark.parametrize("which", ["kvmwizard", "kvmwizard/catalog"])
def test_a_cache_that_all_may_write_to_is_not_used(tmp_path: Path, which: str) -> None:
    cache = ListCache(tmp_path / "kvmwizard")
    cache.keep(ADDRESS, None, LISTED)
    assert cache.read(ADDRESS) is not None
    (tmp_path / which).chmod(0o777)
    (path,) = (tmp_path / "kvmwizard" / "catalog").iterdir()
    content = path.read_bytes()
    opened = ListCache(tmp_path / "kvmwizard")
    assert opened.read(ADDRESS) is None
    opened.keep(ADDRESS, None, ())
    assert path.read_bytes() == content
    (notice,) = opened.notices
    assert str(tmp_path / which) in notice.english
    assert "chmod 700" in notice.english


def test_a_cache_above_that_all_may_write_to_is_no_way_in(tmp_path: Path) -> None:
    """~/.cache itself may be anything: what is ours in it is private, and looked at before it is used."""
    above = tmp_path / "cache"
    above.mkdir()
    above.chmod(0o777)
    cache = ListCache(above / "kvmwizard")
    cache.keep(ADDRESS, None, LISTED)
    assert open_ones(above / "kvmwizard") == []
    assert cache.read(ADDRESS) is not None


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o707, 0o1777])
def test_a_state_directory_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    for words in (["status"], ["apply", "--yes"], ["undo", "--yes"]):
        ended = kvmwizard(tmp_path, *words, "--state-dir", state)
        assert ended.returncode == 2
        assert "Other users may write" in ended.stderr
    assert list(state.iterdir()) == []
