import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kvmwizard.run.journal import Journal, cannot_append, create_journal, event_line, read_journal
from kvmwizard.run.model import JOURNAL_VERSION, Event, RunBegan, RunStopped, StepSkipped
from kvmwizard.run.refused import RunRefused
from kvmwizard.words import say

BEGAN = RunBegan(time=1.0, journal_version=JOURNAL_VERSION, digest="d", boot_id="b")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    created = tmp_path / "journal.jsonl"
    create_journal(created, BEGAN)
    return created


def skipped(number: int) -> StepSkipped:
    return StepSkipped(time=float(number), step=f"s{number}", evidence=say("found {what}", what="Käse 中文"))


def test_events_come_back_as_they_were_written(path: Path) -> None:
    written: list[Event] = [BEGAN]
    with Journal(path) as journal:
        for number in range(3):
            journal.append(skipped(number))
            written.append(skipped(number))
    assert list(read_journal(path).events) == written
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", [b'{"time":3', b"\0" * 512, b"garbage\n", b"\xff\xfe\n{}\n"])
def test_a_torn_end_is_left_out_by_readers_and_set_aside_by_the_writer(path: Path, torn: bytes) -> None:
    with Journal(path) as journal:
        journal.append(skipped(1))
    with path.open("ab") as file:
        file.write(torn)
    reading = read_journal(path)
    assert reading.events == (BEGAN, skipped(1))
    assert reading.torn == torn
    with Journal(path) as journal:
        assert journal.cut_bytes == len(torn)
        journal.append(skipped(2))
    assert read_journal(path).events == (BEGAN, skipped(1), skipped(2))
    assert path.with_suffix(".torn").read_bytes() == torn


@given(some.integers(min_value=0, max_value=400))
def test_a_journal_cut_off_anywhere_reads_as_its_whole_events(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "journal.jsonl"
    lines = [event_line(event) for event in (BEGAN, skipped(1), RunStopped(time=2.0))]
    content = b"".join(lines)[:length]
    path.write_bytes(content)
    if b"\n" in content:
        assert len(read_journal(path).events) == content.count(b"\n")
    else:
        with pytest.raises(RunRefused, match="cannot be read from its first line"):
            read_journal(path)


def test_a_journal_without_a_first_event_is_neither_cut_nor_written_to(path: Path) -> None:
    path.write_bytes(b'{"event":"run-beg\n')
    with pytest.raises(RunRefused):
        Journal(path)
    assert path.read_bytes() == b'{"event":"run-beg\n'


@pytest.mark.parametrize("first", [{"event": "run-began"}, {"what": "nobody knows yet"}])
def test_a_newer_journal_is_refused_in_words_and_left_as_it_is(path: Path, first: dict[str, str]) -> None:
    content = json.dumps({**first, "journal_version": JOURNAL_VERSION + 1}).encode() + b"\nnew things\n"
    path.write_bytes(content)
    for use in (read_journal, Journal):
        with pytest.raises(RunRefused, match="newer kvmwizard"):
            use(path)
    assert path.read_bytes() == content


def test_a_journal_without_a_version_is_of_the_first_and_gets_today_s_from_its_next_writer(
    path: Path,
) -> None:
    path.write_bytes(b'{"time":1.0,"event":"run-began","digest":"d","boot_id":"b"}\n')
    assert read_journal(path).began == BEGAN.model_copy(update={"journal_version": 1})
    with Journal(path) as journal:
        journal.append(skipped(1))
    assert json.loads(path.read_bytes().splitlines()[0])["journal_version"] == JOURNAL_VERSION
    assert read_journal(path).events[1:] == (skipped(1),)


def test_what_a_writer_found_is_on_the_disk_before_its_own_first_event_counts(path: Path) -> None:
    before = path.stat().st_ino
    with Journal(path) as journal:
        assert path.stat().st_ino == before
        journal.append(skipped(1))
    assert path.stat().st_ino != before
    assert read_journal(path).events == (BEGAN, skipped(1))


FAILED_FSYNC = """
import errno, os, sys
from pathlib import Path
from kvmwizard.run.journal import Journal
from kvmwizard.run.model import RunStopped
path = Path(sys.argv[1])
journal = Journal(path)
journal.append(RunStopped(time=2.0))
synced = os.fsync
def failing(descriptor):
    os.fsync = synced
    raise OSError(errno.EIO, os.strerror(errno.EIO))
os.fsync = failing
for time in (3.0, 4.0):
    try:
        journal.append(RunStopped(time=time))
    except OSError as error:
        print(error.errno)
"""


def test_after_a_failed_fsync_its_writer_appends_nothing_more(path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FAILED_FSYNC, str(path)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["5", "5"]
    assert read_journal(path).events == (BEGAN, RunStopped(time=2.0))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from kvmwizard.run.journal import Journal
from kvmwizard.run.model import RunStopped, StepSkipped
from kvmwizard.words import say
path = Path(sys.argv[1])
journal = Journal(path)
if sys.argv[2] == "later":
    journal.append(RunStopped(time=2.0))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
try:
    journal.append(StepSkipped(time=2.0, step="s", evidence=say("long " * 50)))
except OSError as error:
    print(error.errno)
print(path.stat().st_size - size)
"""


@pytest.mark.parametrize("which", ["first", "later"])
def test_an_event_that_does_not_fit_leaves_nothing_behind(path: Path, which: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), which], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["27", "0"]  # EFBIG, and not one byte of the event
    assert read_journal(path).torn == b""
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.ENOSPC, "The disk is full"), (errno.EIO, "See with dmesg")]
)
def test_a_journal_that_takes_no_more_says_what_to_do(path: Path, number: int, advice: str) -> None:
    assert advice in cannot_append(path, OSError(number, os.strerror(number))).english
