import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kvmwizard.run.journal import Journal, create_journal, event_line, read_journal
from kvmwizard.run.model import Event, RunBegan, RunStopped, StepSkipped
from kvmwizard.words import say

BEGAN = RunBegan(time=1.0, digest="d", boot_id="b")


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
    assert reading.torn_bytes == len(torn)
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
    assert len(read_journal(path).events) == content.count(b"\n")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from kvmwizard.run.journal import Journal
from kvmwizard.run.model import RunStopped, StepSkipped
from kvmwizard.words import say
path = Path(sys.argv[1])
journal = Journal(path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
try:
    journal.append(StepSkipped(time=2.0, step="s", evidence=say("long " * 50)))
except OSError as error:
    print(error.errno)
print(path.stat().st_size - size)
"""


def test_an_event_that_does_not_fit_leaves_nothing_behind(path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["27", "0"]  # EFBIG, and not one byte of the event
    assert read_journal(path).torn_bytes == 0
