"""Commands of steps: what they leave behind is ended, and a stop leaves make the time to clean up."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kvmwizard.run import commands
from kvmwizard.run.commands import Command, CommandFiles, wait_for_leftover
from kvmwizard.run.liveness import (
    ProcessIdentity,
    boot_id,
    lock_holders_outside,
    lock_is_held,
    process_start,
    take_lock,
)

WORKER = """
import subprocess, sys
child = subprocess.Popen(["/bin/sh", "-c", sys.argv[1]], close_fds=False)
print("started", child.pid, flush=True)
child.wait()
"""
"""As a worker process: its children hold the step's lock, too (kvmwizard.job)."""
OWN_GROUP = 'import os, time; os.setpgid(0, 0); print("own group", flush=True); time.sleep(300)'
BUSY_SERVER = 'while True: open("/dev/null").close()'
"""What it has open is another file at every look."""
WAIT_SECONDS = 20.0


def started(tmp_path: Path, script: str) -> tuple[Command, CommandFiles, int]:
    """A worker with one child that runs the script, and the child's number."""
    files = CommandFiles(log=tmp_path / "log", lock=tmp_path / "lock")
    command = Command((sys.executable, "-c", WORKER, script), {}, files)
    deadline = time.monotonic() + WAIT_SECONDS
    while "started" not in (text := files.log.read_text(encoding="ascii")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return command, files, int(text.split()[1])


def runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(process: int) -> bool:
    """Whether it is gone, or is about to be: what it held it lets go of first."""
    deadline = time.monotonic() + WAIT_SECONDS / 10
    while runs(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not runs(process)


def test_what_a_killed_worker_leaves_behind_is_ended(tmp_path: Path) -> None:
    command, files, child = started(tmp_path, "sleep 300")
    os.kill(command._process.pid, signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    assert ends(child)
    assert not lock_is_held(files.lock)


def test_a_stop_lets_the_children_clean_up_first(tmp_path: Path) -> None:
    """As make does, which removes what is half made when it is told to end."""
    half_made = tmp_path / "half-made"
    script = f"trap 'sleep 1; rm {half_made}; exit 1' TERM; touch {half_made}; while :; do sleep 0.1; done"
    command, files, child = started(tmp_path, script)
    while not half_made.exists():
        time.sleep(0.01)
    waiting = threading.Thread(target=command.wait)
    waiting.start()
    begun = time.monotonic()
    command.stop()
    waiting.join()
    assert time.monotonic() - begun < 8
    assert not half_made.exists()
    assert ends(child)
    assert not lock_is_held(files.lock)


def test_children_that_do_not_listen_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "STOP_SECONDS", 1.0)
    command, files, child = started(tmp_path, "trap '' TERM; while :; do sleep 0.1; done")
    waiting = threading.Thread(target=command.wait)
    waiting.start()
    command.stop()
    waiting.join()
    assert ends(child)
    assert not lock_is_held(files.lock)


def test_children_in_process_groups_of_their_own_are_ended_too(tmp_path: Path) -> None:
    """As ninja's are, which ends them only if it is not killed itself."""
    command, files, child = started(tmp_path, f"exec {shlex.quote(sys.executable)} -c '{OWN_GROUP}'")
    while "own group" not in files.log.read_text(encoding="ascii"):
        time.sleep(0.01)
    os.killpg(command._process.pid, signal.SIGKILL)
    assert runs(child)
    assert command.wait() == -signal.SIGKILL
    assert ends(child)
    assert not lock_is_held(files.lock)


@pytest.mark.parametrize("looking", [False, True])
def test_a_server_that_left_the_session_is_ended_and_who_looks_on_is_not(
    tmp_path: Path, looking: bool
) -> None:
    """As a compiler's cache may start one: with the lock, it would keep every later command waiting."""
    files = CommandFiles(log=tmp_path / "log", lock=tmp_path / "lock")
    server = f"setsid {shlex.quote(sys.executable)} -c '{BUSY_SERVER}' & echo $!"
    command = Command(("/bin/sh", "-c", server), {}, files)
    with files.lock.open() as looked_at, contextlib.ExitStack() as looks:
        if looking:
            onlooker = looks.enter_context(subprocess.Popen(["/bin/sleep", "60"], stdin=looked_at))
        begun = time.monotonic()
        assert command.wait() == 0
        assert time.monotonic() - begun < 8
        assert not lock_is_held(files.lock)
        assert ends(int(files.log.read_text(encoding="ascii")))
        if looking:
            assert onlooker.poll() is None
            onlooker.kill()


def test_another_command_that_is_being_started_is_none_of_what_is_left(tmp_path: Path) -> None:
    """Until it runs its program it holds every lock that the runner holds."""
    lock = tmp_path / "lock"
    with lock.open("w") as holder:
        assert take_lock(holder.fileno())
        begun, end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end)
            os.read(begun, 1)
            os._exit(0)
        try:
            assert lock_holders_outside(0, lock) == ()
        finally:
            os.close(end)
            os.close(begun)
            os.waitpid(child, 0)


def test_a_server_that_outlives_its_command_and_the_runner_keeps_nobody_waiting(tmp_path: Path) -> None:
    files = CommandFiles(log=tmp_path / "log", lock=tmp_path / "lock")
    command = Command(("/bin/sh", "-c", "setsid sleep 300 & echo $!; sleep 0.5"), {}, files)
    # A killed runner lets go of what it holds.
    os.close(command._lock)
    looked = threading.Thread(target=wait_for_leftover, args=(files, lambda: False), daemon=True)
    looked.start()
    looked.join(0.2)
    assert looked.is_alive()
    command._process.wait()
    looked.join(WAIT_SECONDS)
    assert not looked.is_alive()
    assert ends(int(files.log.read_text(encoding="ascii")))


def test_a_leftover_whose_worker_is_gone_too_can_be_stopped(tmp_path: Path) -> None:
    """Runner and worker were killed, a compiler goes on: the next runner ends it when asked to stop."""
    command, files, child = started(tmp_path, "sleep 300")
    os.kill(command._process.pid, signal.SIGKILL)
    command._process.wait()
    os.close(command._lock)
    assert lock_is_held(files.lock)
    wait_for_leftover(files, lambda: True)
    assert ends(child)


@pytest.mark.parametrize("change", [{"process_start": 1}, {"boot_id": "another"}])
def test_who_got_the_number_of_a_leftover_is_left_alone(tmp_path: Path, change: dict[str, object]) -> None:
    files = CommandFiles(log=tmp_path / "log", lock=tmp_path / "lock")
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as bystander:
        started = process_start(bystander.pid)
        assert started is not None
        genuine = ProcessIdentity(pid=bystander.pid, process_start=started, boot_id=boot_id())
        files.lock.write_text(genuine.model_copy(update=change).model_dump_json(), encoding="ascii")
        holder = os.open(files.lock, os.O_RDWR)
        assert take_lock(holder)
        wait_for_leftover(files, lambda: True)
        assert bystander.poll() is None
        files.lock.write_text(genuine.model_dump_json(), encoding="ascii")
        stopping = threading.Thread(target=wait_for_leftover, args=(files, lambda: True))
        stopping.start()
        assert bystander.wait(WAIT_SECONDS) == -signal.SIGTERM
        os.close(holder)
        stopping.join()


def test_a_lock_names_nobody_from_before_its_command(tmp_path: Path) -> None:
    """Should the runner be killed before it names the command's process."""
    files = CommandFiles(log=tmp_path / "log", lock=tmp_path / "lock")
    command = Command(("/bin/sleep", "60"), {}, files)
    assert files.lock.read_bytes() != b""
    waiting = threading.Thread(target=command.wait)
    waiting.start()
    command.stop()
    waiting.join()
    with pytest.raises(FileNotFoundError):
        Command(("/no/such/program",), {}, files)
    assert files.lock.read_bytes() == b""


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from kvmwizard.run import commands
from kvmwizard.run.commands import Command, CommandFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    Command(("/bin/sleep", "600"), {}, CommandFiles(Path(sys.argv[1], "log"), Path(sys.argv[1], "lock")))
except OSError as error:
    print(error.errno)
"""


def test_a_command_that_could_not_be_found_again_is_ended_at_once(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=WAIT_SECONDS)
    assert said.stdout == "27\n"  # EFBIG: its number did not fit into the lock
    assert not lock_is_held(tmp_path / "lock")
