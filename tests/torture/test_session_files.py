"""Session files gone bad: nothing is lost, nothing wrong is believed, nobody sees a traceback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given

from kvmwizard.answers import (
    AccessAnswer,
    Answers,
    DistributionKernel,
    KernelAnswer,
    KernelOptionsAnswer,
    LocalQemu,
    QemuAnswer,
    QemuBuildAnswer,
    QemuOptionsAnswer,
    WelcomeAnswer,
)
from kvmwizard.session import SCHEMA_VERSION, LoadedSession, Session, SessionRefused, SessionStore
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
from tests.torture.trial import Trial

GOOD = Session(
    answers=Answers(
        welcome=WelcomeAnswer(route="packages"),
        kernel=KernelAnswer(kernel=DistributionKernel(package="linux-image-amd64", version="6.1.192-1")),
        kernel_options=KernelOptionsAnswer(modules=("kvm", "vhost_net"), nested=True),
        qemu=QemuAnswer(qemu=LocalQemu(path="/usr/bin/qemu-system-x86_64")),
        qemu_build=QemuBuildAnswer(jobs=8, targets=("x86_64-softmmu",), flags=("--enable-lto",)),
        qemu_options=QemuOptionsAnswer(extras=("uefi-firmware",)),
        access=AccessAnswer(user="alice"),
    ),
    page="review",
    run_id="20261122-130000-0123abcd",
    other_ways={"book": Answers(access=AccessAnswer(user="bob"))},
)
MOST_SECONDS = 20.0
"""On a machine that has other things to do; a tenth of it is usual."""
MOST_MEGABYTES = 100
"""Of a whole process that meets 100 MB; one that meets nothing takes some 40."""


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    made = SessionStore(tmp_path / "state")
    made.save(GOOD)
    return made


def good_text(store: SessionStore) -> bytes:
    return store.path.read_bytes()


def is_newer(content: bytes) -> bool:
    try:
        version = json.loads(content)["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return type(version) is int and version > SCHEMA_VERSION


class Outcomes:
    """How often which of the three came of a file."""

    def __init__(self) -> None:
        self.accepted = self.set_aside = self.refused = 0

    @property
    def all(self) -> int:
        return self.accepted + self.set_aside + self.refused

    def counted(self) -> dict[str, int]:
        return {"accepted": self.accepted, "set_aside": self.set_aside, "refused": self.refused}


def loaded_or_refused(store: SessionStore) -> LoadedSession | SessionRefused:
    try:
        return store.load()
    except SessionRefused as refused:
        return refused


def load_bad(store: SessionStore, content: bytes, outcomes: Outcomes) -> None:
    """Load it, and see that the bytes are kept wherever they are not a session that is used."""
    store.path.write_bytes(content)
    store.path.chmod(0o600)
    loaded = loaded_or_refused(store)
    if isinstance(loaded, SessionRefused):
        assert is_newer(content), loaded.words.english
        assert store.path.read_bytes() == content
        outcomes.refused += 1
        return
    assert not is_newer(content)
    aside = list(store.state_directory.glob("session.json.unreadable-*"))
    if loaded.notice is None:
        assert aside == []
        assert store.path.read_bytes() == content
        store.save(loaded.session)
        assert store.load() == loaded
        outcomes.accepted += 1
    else:
        assert [path.read_bytes() for path in aside] == [content]
        assert str(aside[0]) in loaded.notice.english
        assert not store.path.exists()
        aside[0].unlink()
        outcomes.set_aside += 1


def test_every_kind_of_bad_content(store: SessionStore, tries: Tries, counts: Counts, seed: int) -> None:
    good = good_text(store)
    outcomes = Outcomes()
    cut = sample(every_truncation(good), tries(short=60, full=10**6), seed)
    flipped = sample(every_flipped_bit(good), tries(short=150, full=10**6), seed)
    texts = list(other_texts(good))
    changed = list(changed_documents(json.loads(good), ["schema_version"]))
    texts += [case for case in changed if is_newer(case.content)]
    chosen = sample(iter(changed), tries(short=250, full=10**6), seed)
    trial = Trial()
    for case in (*cut, *flipped, *texts, *chosen):
        with trial.of(case.name):
            load_bad(store, case.content, outcomes)
    counts(
        "bad session files",
        **trial.figures,
        truncations=len(cut),
        flipped_bits=len(flipped),
        **outcomes.counted(),
    )
    assert trial.amiss == []
    assert outcomes.accepted < outcomes.all / 2, "most of it is bad"


def test_whatever_hypothesis_makes_of_it(
    store: SessionStore, tries: Tries, counts: Counts, seed: int
) -> None:
    outcomes = Outcomes()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=tries(short=120, full=10_000),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @given(near(json.loads(good_text(store))))
    def loads(content: bytes) -> None:
        load_bad(store, content, outcomes)

    loads()
    counts("session files by hypothesis", cases=outcomes.all, **outcomes.counted())


def through_the_command_line(store: SessionStore, cases: list[BadFile]) -> Iterator[tuple[BadFile, int]]:
    for case in cases:
        store.path.write_bytes(case.content)
        store.path.chmod(0o600)
        ended = run_in_process("status", "--state-dir", store.state_directory)
        if is_newer(case.content):
            assert ended.code == 2
            assert "newer kvmwizard" in ended.complaints
        kept = {path.read_bytes() for path in store.state_directory.glob("session.json*")}
        assert case.content in kept, case.name
        for path in store.state_directory.glob("session.json.unreadable-*"):
            path.unlink()
        yield case, ended.code


def all_kinds(good: bytes) -> Iterator[BadFile]:
    yield from every_truncation(good)
    yield from every_flipped_bit(good)
    yield from other_texts(good)
    yield from changed_documents(json.loads(good), ["schema_version"])


def test_the_command_line_says_what_is_wrong_with_the_file(
    store: SessionStore, tries: Tries, counts: Counts, seed: int
) -> None:
    cases = sample(all_kinds(good_text(store)), tries(short=60, full=3000), seed)
    codes = [code for _, code in through_the_command_line(store, cases)]
    assert set(codes) <= {0, 2}
    counts("bad session files at the command line", tried=len(codes), refused=codes.count(2))


def test_the_real_program_meets_bad_session_files(
    store: SessionStore, tmp_path: Path, tries: Tries, counts: Counts, seed: int
) -> None:
    trial = Trial()
    for case in sample(all_kinds(good_text(store)), tries(short=2, full=60), seed + 1):
        with trial.of(case.name):
            store.path.write_bytes(case.content)
            ended = kvmwizard(tmp_path, "status", "--state-dir", store.state_directory)
            assert ended.returncode in {0, 2}, ended.stderr
            assert "Traceback" not in ended.stdout + ended.stderr
            assert all(is_safe(line) for line in (ended.stdout + ended.stderr).split("\n"))
            kept = {path.read_bytes() for path in store.state_directory.glob("session.json*")}
            assert case.content in kept
    counts("bad session files and the real program", **trial.figures)
    assert trial.amiss == []


REFUSED_PLACES = set(PLACES) - {"100 MB of nothing behind", "100 MB of brackets", "a line of 100 MB"}

MEASURED = """
import re, sys
from kvmwizard.cli import main
code = main(sys.argv[1:])
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024, file=sys.stderr)
sys.exit(code)
"""


def measured(*words: str | Path) -> tuple[int, str, float, int]:
    """The exit code, what was said, seconds and the most memory in MB, of a process of its own.

    Not by getrusage(2), which has a process begin with what its parent took.
    """
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    *said, megabytes = ended.stderr.splitlines()
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, " ".join(said), time.monotonic() - started, int(megabytes)


@pytest.mark.parametrize("kind", sorted(REFUSED_PLACES))
def test_what_is_no_file_of_the_users_own_is_refused_and_left_alone(store: SessionStore, kind: str) -> None:
    PLACES[kind](store.path)
    before = identity(store.path)
    for words in (["status"], ["plan"], ["apply", "--yes"]):
        ended = run_in_process(*words, "--state-dir", store.state_directory)
        assert ended.code == 2
        assert str(store.path) in ended.complaints
    assert identity(store.path) == before


@pytest.mark.parametrize("kind", sorted(set(PLACES) - REFUSED_PLACES))
def test_a_hundred_megabytes_are_set_aside_quickly(store: SessionStore, kind: str) -> None:
    PLACES[kind](store.path)
    size = store.path.stat().st_size
    code, said, seconds, megabytes = measured("status", "--state-dir", store.state_directory)
    assert code == 0
    assert "could not be read" in said
    (aside,) = store.state_directory.glob("session.json.unreadable-*")
    assert aside.stat().st_size == size
    assert not store.path.exists()
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES


@pytest.mark.parametrize("kind", sorted(PLACES))
def test_a_lock_gone_bad_is_refused_or_taken(store: SessionStore, kind: str) -> None:
    assert store.lock()
    store.unlock()
    PLACES[kind](store.lock_path)
    if kind in REFUSED_PLACES:
        with pytest.raises(SessionRefused) as refused:
            store.lock()
        assert str(store.lock_path) in refused.value.words.english
        assert store.holder() is None
    else:
        assert store.lock()
        assert store.holder() == os.getpid()
        store.unlock()
    assert store.load().session == GOOD


def test_a_state_directory_that_all_may_write_to_is_refused(store: SessionStore) -> None:
    store.state_directory.chmod(0o777)
    before = sorted(store.state_directory.iterdir())
    for words in (["status"], ["apply", "--yes"]):
        ended = run_in_process(*words, "--state-dir", store.state_directory)
        assert ended.code == 2
        assert "Other users may write" in ended.complaints
    assert sorted(store.state_directory.iterdir()) == before


def test_a_newer_file_outlives_every_command(store: SessionStore, tmp_path: Path) -> None:
    document: dict[str, Any] = {**json.loads(good_text(store)), "schema_version": 3, "news": [1]}
    store.path.write_text(json.dumps(document), encoding="ascii")
    content = good_text(store)
    for words in (["status"], ["log"], ["plan"], ["apply", "--yes"], ["verify"], ["undo", "--yes"]):
        ended = kvmwizard(tmp_path, *words, "--state-dir", store.state_directory)
        assert ended.returncode == 2, words
        assert "newer kvmwizard" in ended.stderr
        assert good_text(store) == content
