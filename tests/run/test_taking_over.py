import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvmwizard.run.taking_over import end_holder
from kvmwizard.session import SessionStore

HOLD = """
import signal, sys, time
from pathlib import Path
from kvmwizard.session import SessionStore
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(SessionStore(Path(sys.argv[1])).lock(), flush=True)
time.sleep(600)
"""


@contextmanager
def holding(directory: Path, *words: str) -> "Iterator[subprocess.Popen[str]]":
    argv = [sys.executable, "-c", HOLD, str(directory), *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "True\n"
            yield holder
        finally:
            holder.kill()


@pytest.mark.parametrize(("words", "number"), [((), signal.SIGTERM), (("deaf",), signal.SIGKILL)])
def test_the_holder_is_asked_to_end_and_else_made_to(
    tmp_path: Path, words: tuple[str, ...], number: signal.Signals
) -> None:
    sessions = SessionStore(tmp_path / "state")
    with holding(sessions.state_directory, *words) as holder:
        assert not sessions.lock()
        assert end_holder(sessions)
        assert holder.wait(10) == -number
    assert SessionStore(sessions.state_directory).lock()


def test_a_session_that_nobody_holds_is_free(tmp_path: Path) -> None:
    assert end_holder(SessionStore(tmp_path / "state"))


def test_who_only_has_the_number_that_the_lock_names_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvmwizard.run.taking_over.ASKED_SECONDS", 0.2)
    monkeypatch.setattr("kvmwizard.run.taking_over.KILLED_SECONDS", 0.2)
    sessions = SessionStore(tmp_path / "state")
    with holding(sessions.state_directory) as holder, subprocess.Popen(["/bin/sleep", "600"]) as bystander:
        sessions.lock_path.write_text(f"{bystander.pid}\n", encoding="ascii")
        assert not end_holder(sessions)
        assert (holder.poll(), bystander.poll()) == (None, None)
        bystander.kill()
