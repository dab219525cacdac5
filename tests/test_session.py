"""Saving and loading a session, and refusing what must not be believed."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kvmwizard import session as session_module
from kvmwizard.answers import (
    AccessAnswer,
    Answers,
    DistributionKernel,
    KernelOptionsAnswer,
    LocalQemu,
)
from kvmwizard.session import LARGEST_SESSION_BYTES, Session, SessionRefused, SessionStore

ANSWERED = Session(
    answers=Answers(access=AccessAnswer(user="alice"), kernel_options=KernelOptionsAnswer(nested=True)),
    page="review",
    run_id="20261122-130000-1",
)

FIRST_SCHEMA = Path(__file__).with_name("sessions") / "schema-1.json"

SHORT_OF_A_SESSION = {
    "empty": b"",
    "truncated": ANSWERED.model_dump_json().encode()[:-20],
    "not JSON": b"answers: yes\n",
    "not text": b"\xff\xfe\x00\x01",
    "a list": b"[1, 2]",
    "nested too deep": b"[" * 100_000,
    "no schema": b"{}",
    "schema is a truth": b'{"schema_version": true}',
    "schema before the first": b'{"schema_version": 0}',
    "unknown key": b'{"schema_version": 2, "colour": "red"}',
    "unknown key in an answer": b'{"schema_version": 2, "answers": {"access": {"user": "a", "colour": 1}}}',
    "wrong type": b'{"schema_version": 2, "page": 7}',
    "text for a truth": b'{"schema_version": 2, "answers": {"access": {"user": "alice", "now": "yes"}}}',
    "run id that is a path": b'{"schema_version": 2, "run_id": "../../etc"}',
    "lone surrogate": b'{"schema_version": 2, "run_id": "\\ud800"}',
    "too big": b" " * (LARGEST_SESSION_BYTES + 1),
}


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "state")


@pytest.fixture
def written(store: SessionStore) -> SessionStore:
    store.save(ANSWERED)
    return store


def refusal(store: SessionStore) -> str:
    with pytest.raises(SessionRefused) as refused:
        store.load()
    return refused.value.words.english


def test_a_new_session_where_nothing_was_saved(store: SessionStore) -> None:
    loaded = store.load()
    assert loaded.session == Session()
    assert loaded.notice is None
    assert not store.state_directory.exists(), "looking must not make anything"


def test_what_was_saved_comes_back(written: SessionStore) -> None:
    assert written.load().session == ANSWERED
    assert written.load().notice is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_modes_hold_whatever_the_umask(store: SessionStore, umask: int) -> None:
    before = os.umask(umask)
    try:
        store.save(ANSWERED)
        assert store.lock()
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.state_directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.lock_path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", SHORT_OF_A_SESSION.values(), ids=SHORT_OF_A_SESSION)
def test_a_file_that_holds_no_session_is_set_aside(store: SessionStore, content: bytes) -> None:
    store.save(Session())
    store.path.write_bytes(content)
    loaded = store.load()
    (aside,) = store.state_directory.glob("session.json.unreadable-*")
    assert loaded.session == Session()
    assert loaded.notice is not None
    assert str(aside) in loaded.notice.english
    assert aside.read_bytes() == content
    assert not store.path.exists()


def test_files_set_aside_in_the_same_second_are_all_kept(store: SessionStore) -> None:
    store.save(Session())
    contents = [b"first", b"second", b"third"]
    for content in contents:
        store.path.write_bytes(content)
        store.load()
    kept = {path.read_bytes() for path in store.state_directory.glob("session.json.unreadable-*")}
    assert kept == set(contents)


def test_a_newer_schema_is_refused_and_left_alone(written: SessionStore) -> None:
    content = json.dumps({"schema_version": 3, "pages": []}).encode()
    written.path.write_bytes(content)
    message = refusal(written)
    assert "newer kvmwizard" in message
    assert "--state-dir" in message
    assert written.path.read_bytes() == content


def test_a_session_of_the_first_schema_is_read_whole(store: SessionStore) -> None:
    """As the version before kernels and QEMUs from source saved it, every answer given."""
    store.save(Session())
    store.path.write_bytes(FIRST_SCHEMA.read_bytes())
    loaded = store.load()
    assert loaded.notice is None
    session = loaded.session
    assert (session.schema_version, session.page, session.run_id) == (2, "review", "20261121-090000-0123abcd")
    answers = session.answers
    assert answers.access == AccessAnswer(user="alice", now=False)
    assert answers.kernel is not None
    assert answers.kernel.kernel == DistributionKernel(
        package="linux-image-amd64", version="6.1.192-1", release="6.1.0-49-amd64"
    )
    assert answers.kernel_options == KernelOptionsAnswer(
        modules=("kvm", "kvm_intel", "vhost_net"), nested=True, iommu=True
    )
    assert answers.qemu is not None
    assert answers.qemu.qemu == LocalQemu(path="/usr/bin/qemu-system-x86_64")
    assert answers.qemu_options is not None
    assert answers.qemu_options.extras == ("image-tools", "uefi-firmware")
    assert answers.welcome is not None
    assert answers.welcome.route == "packages"
    store.save(session)
    assert json.loads(store.path.read_bytes())["schema_version"] == 2
    assert store.load().session == session


def test_an_older_schema_migrates(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(document: dict[str, Any]) -> dict[str, Any]:
        return {"schema_version": 1, "run_id": document["run"]}

    monkeypatch.setitem(session_module.MIGRATIONS, 0, renamed)
    store.save(Session())
    store.path.write_text(json.dumps({"schema_version": 0, "run": "one"}))
    assert store.load().session == Session(run_id="one")


def test_a_link_is_refused_and_left_alone(written: SessionStore, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    written.path.rename(target)
    written.path.symlink_to(target)
    assert "symbolic link" in refusal(written)
    assert written.path.is_symlink()
    assert target.exists()


def test_a_hard_link_is_refused(written: SessionStore, tmp_path: Path) -> None:
    os.link(written.path, tmp_path / "second")
    assert "hard link" in refusal(written)


def test_a_directory_in_the_files_place_is_refused(store: SessionStore) -> None:
    store.save(Session())
    store.path.unlink()
    store.path.mkdir()
    assert "not a plain file" in refusal(store)


def test_a_fifo_is_refused_without_waiting_for_a_writer(store: SessionStore) -> None:
    store.save(Session())
    store.path.unlink()
    os.mkfifo(store.path)
    assert "not a plain file" in refusal(store)


def test_a_file_that_others_may_write_is_refused(written: SessionStore) -> None:
    written.path.chmod(0o666)
    assert "Other users may write" in refusal(written)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to someone else")
def test_someone_elses_file_is_refused(written: SessionStore) -> None:
    os.chown(written.path, 65534, 65534)
    assert "belongs to the user with id 65534" in refusal(written)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to someone else")
def test_someone_elses_directory_is_refused(written: SessionStore) -> None:
    os.chown(written.state_directory, 65534, 65534)
    assert "belongs to the user with id 65534" in refusal(written)
    with pytest.raises(SessionRefused):
        written.save(Session())


def test_a_linked_directory_is_refused(written: SessionStore, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(written.state_directory)
    assert "symbolic link" in refusal(SessionStore(link))


def test_a_directory_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionRefused) as refused:
        SessionStore(tmp_path / "file" / "state").save(Session())
    assert "Not a directory" in refused.value.words.english


def test_a_failed_save_leaves_the_old_session(written: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SessionRefused) as refused:
        written.save(Session())
    monkeypatch.undo()
    assert "No space left on device" in refused.value.words.english
    assert written.load().session == ANSWERED
    assert sorted(path.name for path in written.state_directory.iterdir()) == ["session.json"]


def test_one_wizard_at_a_time(store: SessionStore) -> None:
    program = (
        "import sys; from pathlib import Path; from kvmwizard.session import SessionStore\n"
        "store = SessionStore(Path(sys.argv[1])); print(store.lock(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store.state_directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not store.lock()
        assert store.holder() == other.pid
        other.kill()
    assert store.lock(), "a killed wizard must not hold the session"
    assert store.holder() == os.getpid()
    assert store.lock(), "who holds it may ask again"
    store.unlock()
    assert SessionStore(store.state_directory).lock()


def test_locking_removes_what_a_killed_writer_left(written: SessionStore) -> None:
    leftover = written.path.with_name(".session.json.0123456789abcdef.unfinished")
    leftover.write_bytes(b"half")
    assert written.lock()
    assert not leftover.exists()
    assert written.load().session == ANSWERED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
near_sessions = st.fixed_dictionaries(
    {"schema_version": st.integers(-1, 4)},
    optional={
        "answers": st.fixed_dictionaries(
            {}, optional={"access": json_values, "kernel": json_values, "welcome": json_values}
        ),
        "page": st.sampled_from(["welcome", "run", "elsewhere"]) | json_values,
        "run_id": json_values,
        "surprise": json_values,
    },
)
contents = st.binary() | st.one_of(json_values, near_sessions).map(lambda value: json.dumps(value).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(content=contents)
@example(content=b'{"schema_version": 1e999}')
@example(content=b'{"schema_version": ' + b"9" * 5000 + b"}")
def test_whatever_the_file_holds_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    store = SessionStore(tmp_path_factory.mktemp("state"))
    store.path.touch(mode=0o600)
    store.path.write_bytes(content)
    try:
        loaded = store.load()
    except SessionRefused:
        assert store.path.read_bytes() == content
        return
    if loaded.notice is None:
        document = json.loads(content)
        document["schema_version"] = 2  # of the first, all answers are among the second's
        assert Session.model_validate_json(json.dumps(document)) == loaded.session
        assert store.path.read_bytes() == content
    else:
        (aside,) = store.state_directory.glob("session.json.unreadable-*")
        assert aside.read_bytes() == content
