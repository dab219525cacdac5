"""Journals, plans and all other files that are kept, gone bad: believed as far as they are sound."""

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given

from kvmwizard import answers_file
from kvmwizard.answers_file import AnswersFileRefused, read_answers_file
from kvmwizard.build.kernel_steps import Totals
from kvmwizard.catalog.cache import ListCache
from kvmwizard.catalog.listed import Listed
from kvmwizard.fetch.partial_file import Origin, PartialFile
from kvmwizard.product import read_stamp, write_stamp
from kvmwizard.run.journal import Journal
from kvmwizard.run.json import run_report
from kvmwizard.run.liveness import LOCK_NAME
from kvmwizard.run.model import JOURNAL_VERSION, RunStopped
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore, journal_path
from kvmwizard.run.text import run_lines
from kvmwizard.run.undo import undo_plan
from kvmwizard.run.workers import last_told, refusal, told_words
from kvmwizard.words import say
from tests.cli.command import kvmwizard
from tests.conftest import Counts, Tries
from tests.torture.bad_files import (
    PLACES,
    BadFile,
    changed_documents,
    every_flipped_bit,
    every_truncation,
    identity,
    is_safe,
    near,
    other_texts,
    run_in_process,
    sample,
)
from tests.torture.bad_runs import PROGRESS, agree_to, make_run, plan_document
from tests.torture.test_session_files import GOOD, MOST_MEGABYTES, MOST_SECONDS, measured
from tests.torture.trial import Trial

ALL = 10**7
LONGEST_WORDS = 2000
HUGE = {"100 MB of nothing behind", "100 MB of brackets", "a line of 100 MB"}
NO_STAMPS = set(PLACES) - {"a hard link", "writable by all", "somebody else's"}
"""A stamp is the builder's, who may be another user; root goes by the digest in the journal alone."""


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunStore, str]:
    return make_run(tmp_path / "state")


def journal_kinds(good: bytes) -> Iterator[BadFile]:
    """Every kind of bad journal: as a whole, line by line, and its lines in another order."""
    yield from every_truncation(good)
    yield from every_flipped_bit(good)
    yield from other_texts(good)
    lines = good.splitlines(keepends=True)
    for number, line in enumerate(lines):
        before, behind = b"".join(lines[:number]), b"".join(lines[number + 1 :])
        yield BadFile(f"line {number} is gone", before + behind)
        yield BadFile(f"line {number} is there twice", before + line + line + behind)
        yield BadFile(f"line {number} comes last", before + behind + line)
        yield BadFile(f"line {number} comes first", line + before + behind)
        for case in changed_documents(json.loads(line), ["journal_version"]):
            yield BadFile(f"line {number}: {case.name}", before + case.content + b"\n" + behind)
        # As texts within texts: the ledger, and what was seen.
        for key in ("changes", "before"):
            event = json.loads(line)
            for case in changed_documents(json.loads(event[key][0]), []) if event.get(key) else ():
                changed = {**event, key: [case.content.decode(), *event[key][1:]]}
                yield BadFile(
                    f"line {number}: {key}: {case.name}",
                    before + json.dumps(changed).encode() + b"\n" + behind,
                )


def is_newer_journal(content: bytes) -> bool:
    try:
        version = json.loads(content.partition(b"\n")[0])["journal_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return type(version) is int and version > JOURNAL_VERSION


def shown(store: RunStore, run_id: str) -> tuple[str, str]:
    """All that is said of the run, to people and to programs."""
    state = store.read(run_id)
    return "\n".join(run_lines(state, 80, "")), json.dumps(run_report(state), allow_nan=False)


def look_at(store: RunStore, run_id: str, content: bytes) -> str:
    """Read the run in every way, then go on writing it; what came of it."""
    path = journal_path(store.directory(run_id))
    path.write_bytes(content)
    fresh = RunStore(store.state_directory)
    for look in (partial(shown, fresh), fresh.events, partial(undo_plan, fresh)):
        with contextlib.suppress(RunRefused):
            look(run_id)
    assert path.read_bytes() == content, "looking changes nothing"
    return go_on(path, content)


def go_on(path: Path, content: bytes) -> str:
    """As the runner does: nothing that was there is lost."""
    torn = path.with_suffix(".torn")
    try:
        with Journal(path) as journal:
            journal.append(RunStopped(time=20))
    except RunRefused:
        assert path.read_bytes() == content, "what is refused stays as it is"
        return "refused"
    assert not is_newer_journal(content), "a newer journal is never written"
    kept = torn.read_bytes() if torn.exists() else b""
    torn.unlink(missing_ok=True)
    assert content.endswith(kept)
    assert path.read_bytes().count(b"\n") == content[: len(content) - len(kept)].count(b"\n") + 1
    return "cut" if kept else "whole"


def test_every_kind_of_bad_journal(
    run: tuple[RunStore, str], tries: Tries, counts: Counts, seed: int
) -> None:
    store, run_id = run
    good = journal_path(store.directory(run_id)).read_bytes()
    kinds = list(journal_kinds(good))
    cases = sample(iter(kinds), tries(short=120, full=ALL), seed)
    # Always among them, however few are tried: times that no calendar has.
    cases += [case for case in kinds if case.name.startswith("line 0: time is odd")]
    outcomes, trial = {"refused": 0, "cut": 0, "whole": 0}, Trial()
    for case in cases:
        with trial.of(case.name):
            outcomes[look_at(store, run_id, case.content)] += 1
    counts("bad journals", **trial.figures, **outcomes)
    assert trial.amiss == []
    assert all(outcomes.values())


def test_whatever_hypothesis_makes_of_a_journal(
    run: tuple[RunStore, str], tries: Tries, counts: Counts, seed: int
) -> None:
    store, run_id = run
    lines = journal_path(store.directory(run_id)).read_bytes().splitlines(keepends=True)
    outcomes = {"refused": 0, "cut": 0, "whole": 0}
    bad = hypothesis.strategies.integers(0, len(lines) - 1).flatmap(
        lambda number: near(json.loads(lines[number])).map(
            lambda content: b"".join((*lines[:number], content, b"\n", *lines[number + 1 :]))
        )
    )

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=tries(short=30, full=8000),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @given(bad)
    def reads(content: bytes) -> None:
        outcomes[look_at(store, run_id, content)] += 1

    reads()
    counts("journals by hypothesis", cases=sum(outcomes.values()), **outcomes)


def test_the_command_line_meets_bad_journals(
    run: tuple[RunStore, str], tries: Tries, counts: Counts, seed: int
) -> None:
    store, run_id = run
    path = journal_path(store.directory(run_id))
    trial = Trial()
    for case in sample(journal_kinds(path.read_bytes()), tries(short=20, full=1500), seed + 1):
        with trial.of(case.name):
            path.write_bytes(case.content)
            for words in (["status"], ["status", "--json"], ["log"]):
                ended = run_in_process(*words, "--state-dir", store.state_directory)
                assert ended.output + ended.complaints
                if "--json" in words and ended.output:
                    json.loads(ended.output, parse_constant=pytest.fail)
            assert path.read_bytes() == case.content
    counts("bad journals at the command line", **trial.figures)
    assert trial.amiss == []


def test_the_real_program_meets_bad_journals(
    run: tuple[RunStore, str], tmp_path: Path, tries: Tries, counts: Counts, seed: int
) -> None:
    store, run_id = run
    path = journal_path(store.directory(run_id))
    trial = Trial()
    for case in sample(journal_kinds(path.read_bytes()), tries(short=2, full=40), seed + 2):
        with trial.of(case.name):
            path.write_bytes(case.content)
            ended = kvmwizard(tmp_path, "status", "--state-dir", store.state_directory)
            assert "Traceback" not in ended.stdout + ended.stderr
            assert all(is_safe(line) for line in (ended.stdout + ended.stderr).split("\n"))
            assert path.read_bytes() == case.content
    counts("bad journals and the real program", **trial.figures)
    assert trial.amiss == []


def plan_kinds(good: bytes) -> Iterator[BadFile]:
    yield from every_truncation(good)
    yield from every_flipped_bit(good)
    yield from other_texts(good)
    yield from changed_documents(json.loads(good), ["schema_version"])


def test_a_plan_that_was_changed_is_not_gone_by(
    run: tuple[RunStore, str], tries: Tries, counts: Counts, seed: int
) -> None:
    store, run_id = run
    path = store.directory(run_id) / "plan.json"
    good = path.read_bytes()
    trial, gone_by = Trial(), 0
    for case in sample(plan_kinds(good), tries(short=150, full=ALL), seed):
        if case.content == good:
            continue
        with trial.of(case.name):
            path.write_bytes(case.content)
            try:
                RunStore(store.state_directory).read(run_id)
            except RunRefused:
                assert path.read_bytes() == case.content
            else:
                gone_by += 1
    counts("bad plans", **trial.figures, gone_by=gone_by)
    assert trial.amiss == []
    assert gone_by == 0


def test_a_plan_that_was_changed_together_with_its_journal_is_shown_harmlessly(
    run: tuple[RunStore, str], tries: Tries, counts: Counts, seed: int
) -> None:
    store, run_id = run
    cases = sample(
        changed_documents(plan_document(store.state_directory), ["schema_version"]),
        tries(short=40, full=ALL),
        seed,
    )
    trial, shown = Trial(), 0
    for case in cases:
        agree_to(store.directory(run_id), case.content)
        for words in (["status"], ["status", "--json"], ["log"]):
            with trial.of(f"{words}, {case.name}"):
                ended = run_in_process(*words, "--state-dir", store.state_directory)
                shown += ended.code == 1 and "failed" in ended.output
    counts("bad plans that the journal agrees to", **trial.figures, kinds=len(cases), shown=shown)
    assert trial.amiss == []
    assert shown


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *itertools.product(sorted(PLACES), ("plan.json", "journal.jsonl", "lock")),
        *itertools.product(sorted(NO_STAMPS - HUGE), ("logs/group.make.log", "progress/file.gone")),
    ],
)
def test_what_stands_in_a_files_place_is_never_waited_for(
    run: tuple[RunStore, str], name: str, kind: str
) -> None:
    store, run_id = run
    PLACES[kind](store.directory(run_id) / name)
    before = identity(store.directory(run_id) / name)
    started = time.monotonic()
    for words in (["status"], ["status", "--json"], ["log", "group.make"], ["apply", "--stop"]):
        ended = run_in_process(*words, "--state-dir", store.state_directory)
        assert ended.output + ended.complaints
    assert time.monotonic() - started < MOST_SECONDS
    assert identity(store.directory(run_id) / name) == before


@pytest.mark.parametrize("name", ["plan.json", "journal.jsonl", "lock"])
def test_a_hundred_megabytes_take_neither_time_nor_memory(run: tuple[RunStore, str], name: str) -> None:
    store, run_id = run
    PLACES["100 MB of brackets"](store.directory(run_id) / name)
    _, said, seconds, megabytes = measured("status", "--state-dir", store.state_directory)
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES
    assert said or name == "lock"


@pytest.mark.parametrize("name", ["runs", "runs/RUN", "runs/RUN/logs", "runs/RUN/progress"])
@pytest.mark.parametrize("kind", ["a symbolic link", "a link to itself", "a FIFO", "a file", "a directory"])
def test_what_stands_in_a_folders_place(run: tuple[RunStore, str], name: str, kind: str) -> None:
    store, run_id = run
    folder = store.state_directory / name.replace("RUN", run_id)
    folder.rename(store.state_directory / "elsewhere")
    if kind == "a symbolic link":
        folder.symlink_to(store.state_directory / "elsewhere")
    elif kind == "a directory":
        folder.mkdir(mode=0)
    else:
        folder.touch(mode=0o600)
        if kind != "a file":
            PLACES[kind](folder)
    for words in (["status"], ["log", "group.make"], ["apply", "--stop"]):
        ended = run_in_process(*words, "--state-dir", store.state_directory)
        assert ended.output + ended.complaints
        if name in ("runs", "runs/RUN") and kind not in ("a symbolic link", "a directory"):
            assert ended.code == 2, words
            assert "Nothing has been run" not in ended.output + ended.complaints


def test_lock_records_gone_bad(run: tuple[RunStore, str], tries: Tries, counts: Counts, seed: int) -> None:
    store, run_id = run
    path = store.directory(run_id) / LOCK_NAME
    good = path.read_bytes()
    trial = Trial()
    for case in sample(plan_kinds(good), tries(short=150, full=ALL), seed):
        with trial.of(case.name):
            path.write_bytes(case.content)
            state = RunStore(store.state_directory).read(run_id)
            assert state.status == "failed"
            str(state.notice)
    counts("bad lock records", **trial.figures)
    assert trial.amiss == []


def test_what_a_worker_tells_gone_bad(
    run: tuple[RunStore, str], tries: Tries, counts: Counts, seed: int
) -> None:
    store, run_id = run
    path = store.progress_path(run_id, "file.gone")
    refused = {"time": 3.0, "refused": {"template": "No {why}.", "places": {"why": "room"}}}
    good = b"".join(json.dumps(line).encode() + b"\n" for line in (*PROGRESS, refused))
    cases = [*every_truncation(good), *every_flipped_bit(good), *other_texts(good)]
    for line in (*PROGRESS, refused):
        cases += [
            BadFile(case.name, json.dumps(PROGRESS[0]).encode() + b"\n" + case.content + b"\n")
            for case in changed_documents(line, [])
        ]
    trial = Trial()
    for case in sample(iter(cases), tries(short=100, full=ALL), seed):
        with trial.of(case.name):
            path.write_bytes(case.content)
            for said in (last_told(path), refusal(path), store.progress(run_id, "file.gone")):
                str(said)
    counts("bad progress of workers", **trial.figures)
    assert trial.amiss == []


def stamp_reader(folder: Path) -> tuple[Path, Callable[[], object]]:
    made, path = folder / "made", folder / "stamp.json"
    made.write_text("made", encoding="ascii")
    write_stamp(path, "identity", [made], {"digest": "0" * 64}, say("By {key}.", key="K"))

    def read() -> object:
        stamp = read_stamp(path)
        return None if stamp is None else (stamp.whole, str(told_words(stamp.told)))

    return path, read


def origin_reader(folder: Path) -> tuple[Path, Callable[[], object]]:
    part = PartialFile(folder / "file")
    with part:
        part.begin(Origin("https://example.org/file", '"tag"', "Sun, 22 Nov 2026 19:00:00 GMT", 9))
        part.write(b"part")

    def read() -> object:
        found = part._read_origin()
        return None if found is None else (found.condition(found.url) or "").encode("ascii")

    return folder / "file.part.json", read


def totals_reader(folder: Path) -> tuple[Path, Callable[[], object]]:
    totals = Totals(folder / "totals.json", "identity")
    totals.write(3, 9)

    def read() -> object:
        done, total = totals.read()
        return done + (total or 0)

    return folder / "totals.json", read


def cache_reader(folder: Path) -> tuple[Path, Callable[[], object]]:
    address = "https://example.org/"
    folder.chmod(0o700)
    ListCache(folder).keep(address, '"tag"', (Listed("6.12.104", "2026-11-20", "longterm"),), ("v6.x",))
    (path,) = (folder / "catalog").iterdir()

    def read() -> object:
        cache = ListCache(folder)
        found = cache.read(address)
        assert found is not None or cache.notices or not path.exists()
        return found

    return path, read


def answers_reader(folder: Path) -> tuple[Path, Callable[[], object]]:
    path = folder / "answers.json"
    path.write_text(GOOD.answers.model_dump_json(exclude_none=True), encoding="ascii")

    def read() -> object:
        try:
            return read_answers_file(path)
        except AnswersFileRefused as error:
            refused = error
        told = (refused.words.english, *(words.english for words in refused.details))
        return None if str(path) in told[0] and all(len(each) < LONGEST_WORDS for each in told) else told

    return path, read


READERS = {
    "stamp": stamp_reader,
    "origin of a download": origin_reader,
    "step counts": totals_reader,
    "kept list of versions": cache_reader,
    "answers file": answers_reader,
}


@pytest.mark.parametrize("reader", sorted(READERS))
def test_other_files_gone_bad(tmp_path: Path, reader: str, tries: Tries, counts: Counts, seed: int) -> None:
    path, read = READERS[reader](tmp_path)
    good = path.read_bytes()
    assert read() is not None
    versions = [name for name in ("schema_version",) if name in json.loads(good)]
    kinds = [*every_truncation(good), *every_flipped_bit(good), *other_texts(good)]
    kinds += changed_documents(json.loads(good), versions)
    trial = Trial()
    for case in sample(iter(kinds), tries(short=100, full=ALL), seed):
        with trial.of(case.name):
            path.write_bytes(case.content)
            str(read())
            assert path.read_bytes() == case.content
    counts(f"bad files: {reader}", **trial.figures)
    assert trial.amiss == []


@pytest.mark.parametrize("reader", sorted(READERS))
def test_what_hypothesis_makes_of_other_files(
    tmp_path: Path, reader: str, tries: Tries, counts: Counts, seed: int
) -> None:
    path, read = READERS[reader](tmp_path)
    cases = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=tries(short=20, full=800),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @given(near(json.loads(path.read_bytes())))
    def reads(content: bytes) -> None:
        nonlocal cases
        cases += 1
        path.write_bytes(content)
        str(read())

    reads()
    counts(f"files by hypothesis: {reader}", cases=cases)


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("kind", sorted(PLACES))
def test_what_stands_in_another_files_place_is_never_waited_for(
    tmp_path: Path, reader: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers_file, "PIPE_SECONDS", 0.2)
    path, read = READERS[reader](tmp_path)
    PLACES[kind](path)
    before = identity(path)
    started = time.monotonic()
    str(read())
    assert time.monotonic() - started < MOST_SECONDS
    assert identity(path) == before


def test_a_stamp_that_is_none_hands_nothing_to_root(tmp_path: Path) -> None:
    for kind in sorted(NO_STAMPS):
        folder = tmp_path / kind
        folder.mkdir()
        path, _ = stamp_reader(folder)
        assert read_stamp(path) is not None
        PLACES[kind](path)
        assert read_stamp(path) is None, kind
