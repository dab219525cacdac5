"""Whole reports: what they hold of a real run, what is missing, and how they are written."""

import getpass
import json
import os
import tarfile
from pathlib import Path

import pytest

from kvmwizard.report import collect as collecting
from kvmwizard.report.archive import ReportRefused, usual_path, write_report
from kvmwizard.report.collect import Report, collect, last_run
from kvmwizard.report.text import report_as_json, report_lines
from kvmwizard.run.launch import start_runner
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.session import Session, SessionStore
from tests.facts_builder import make_facts
from tests.run.plans import files, plan_of, removing_step
from tests.run.test_runner import wait_for_end

ME = getpass.getuser()
LOGIN = "http://berta:s3cr3t-word@mirror.corp.lan/linux 10.20.30.40 fe80::1 52:54:00:ab:cd:ef"
SECRETS = ("berta", "s3cr3t-word", "mirror.corp.lan", "10.20.30.40", "fe80::1", "52:54:00:ab:cd:ef")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """A run that failed, with names and addresses in its log, as the session's."""
    (first,) = files(tmp_path, "first")
    plan = plan_of(removing_step(first, script=f"echo '{LOGIN}'; echo /home/berta/x; exit 3"))
    made = RunStore(tmp_path / "state")
    run_id = made.create(plan.model_copy(update={"user": "berta"}))
    SessionStore(made.state_directory).save(Session(run_id=run_id, page="run"))
    start_runner(made, run_id)
    wait_for_end(made, run_id)
    return made


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine itself matters to few tests, and takes a while to read."""
    monkeypatch.setattr(collecting, "gather", lambda *_: make_facts())


def content(report: Report, name: str) -> str:
    (found,) = [file.content.decode() for file in report.files if file.name == name]
    return found


def missing(report: Report) -> dict[str, str]:
    return {each.name: each.why.english for each in report.missing}


def test_all_there_is_of_a_run_is_packed_without_what_names_anybody(store: RunStore) -> None:
    report = collect(store)
    assert {file.name for file in report.files} >= {
        *("about.txt", "facts.json", "checks.json", "answers.json", "run/status.json", "run/plan.json"),
        *("run/journal.jsonl", "run/runner.log", "run/logs/first.log"),
    }
    assert not report.missing
    for file in report.files:
        for secret in SECRETS:
            assert secret not in file.content.decode(), (file.name, secret)
    log = content(report, "run/logs/first.log")
    assert "http://[credentials-1]@[host-" in log
    assert "[home-" in log
    assert json.loads(content(report, "facts.json"))["host_name"].startswith("[host-")
    steps = json.loads(content(report, "run/status.json"))["steps"]
    assert steps["first"]["status"] == "failed"
    for line in content(report, "run/journal.jsonl").splitlines():
        assert json.loads(line)["event"]


def test_with_names_nothing_is_taken_out(store: RunStore) -> None:
    report = collect(store, with_names=True)
    assert all(secret in content(report, "run/logs/first.log") for secret in SECRETS)
    assert not any(file.taken for file in report.files)
    assert json.loads(content(report, "facts.json"))["host_name"] == os.uname().nodename
    assert "left in" in list(report_lines(report))[-1]


@pytest.mark.usefixtures("quickly")
def test_what_it_holds_is_shown_with_counts(store: RunStore) -> None:
    report = collect(store)
    lines = list(report_lines(report))
    (log,) = [line for line in lines if line.startswith("run/logs/first.log ")]
    assert "4 network addresses" in log
    assert "2 MAC addresses" in log
    listed = report_as_json(report)["files"]
    (counted,) = [each for each in listed if each["name"] == "run/logs/first.log"]
    assert counted["taken_out"]["mac"] == 2
    assert counted["bytes"] == len(content(report, "run/logs/first.log"))


@pytest.mark.usefixtures("quickly")
def test_the_archive_is_for_one_person_alone_and_overwrites_nothing(store: RunStore, tmp_path: Path) -> None:
    report, path = collect(store), tmp_path / "report.tar.gz"
    old = os.umask(0)
    try:
        write_report(report, path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o7777 == 0o600
    with tarfile.open(path) as archive:
        assert [entry.name for entry in archive] == [f"report/{file.name}" for file in report.files]
        assert {(entry.uname, entry.uid, entry.mode) for entry in archive} == {("", 0, 0o600)}
    before = path.read_bytes()
    with pytest.raises(ReportRefused, match="there already"):
        write_report(report, path)
    (tmp_path / "link.tar.gz").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReportRefused, match="there already"):
        write_report(report, tmp_path / "link.tar.gz")
    assert path.read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()
    assert not list(tmp_path.glob(".*.unfinished"))


@pytest.mark.usefixtures("quickly")
def test_a_place_that_cannot_be_written_to_is_said(store: RunStore, tmp_path: Path) -> None:
    with pytest.raises(ReportRefused, match="No such file or directory"):
        write_report(collect(store), tmp_path / "no" / "report.tar.gz")


def test_the_usual_name_is_one_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = usual_path()
    first.touch()
    for _ in range(3):
        assert not usual_path().exists()
    assert usual_path(tmp_path / "reports").parent == tmp_path / "reports"
    assert first.parent == tmp_path
    assert ME not in first.name


@pytest.mark.usefixtures("quickly")
def test_a_damaged_journal_is_packed_as_it_is_and_said(store: RunStore) -> None:
    path = journal_path(store.directory(store.runs()[0]))
    path.write_bytes(b'{"event": "run-be\xffrta berta 10.20.30.40\n')
    report = collect(store)
    assert "cannot be read from its first line on" in missing(report)["run/status.json"]
    packed = content(report, "run/journal.jsonl")
    assert packed.startswith('{"event": "run-be')
    assert "10.20.30.40" not in packed
    assert " berta" not in packed
    assert "run/status.json is missing" in content(report, "about.txt")


def test_without_session_run_or_facts_it_packs_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(collecting, "gather", broken)
    report = collect(RunStore(tmp_path / "nothing"))
    assert [file.name for file in report.files] == ["about.txt"]
    assert set(missing(report)) == {"facts.json", "checks.json", "answers.json", "run/"}
    assert "out of order" in missing(report)["facts.json"]


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "unreadable JSON", "huge"])
@pytest.mark.usefixtures("quickly")
def test_odd_files_in_a_run_s_place_hold_nothing_up(store: RunStore, tmp_path: Path, kind: str) -> None:
    directory = store.directory(store.runs()[0])
    path = directory / "logs" / "odd.log"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "private").write_text("of another", encoding="ascii")
        path.symlink_to(tmp_path / "private")
    elif kind == "directory":
        path.mkdir()
    elif kind == "huge":
        path.write_bytes(b"line\n" * collecting.MOST_BYTES)
    else:
        (store.state_directory / "session.json").write_text("{", encoding="ascii")
    report = collect(store)
    if kind == "huge":
        (found,) = [file for file in report.files if file.name == "run/logs/odd.log"]
        assert len(found.content) == collecting.MOST_BYTES
        assert found.note is not None
    elif kind == "unreadable JSON":
        assert content(report, "answers.json") == "{"
    else:
        assert "run/logs/odd.log" in missing(report)


def test_the_run_that_the_session_names_is_the_one(store: RunStore, tmp_path: Path) -> None:
    named = store.runs()[0]
    store.create(plan_of(removing_step(tmp_path / "gone")))
    assert last_run(store) == named
    SessionStore(store.state_directory).save(Session())
    assert last_run(store) == store.runs()[-1] != named


@pytest.mark.usefixtures("quickly")
def test_what_is_missing_names_nobody_either(store: RunStore) -> None:
    (store.state_directory / "session.json").unlink()
    (gone,) = collect(store).missing
    assert gone.name == "answers.json"


def test_a_folder_that_was_removed_is_no_place_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert usual_path().parent == tmp_path
