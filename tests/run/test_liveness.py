import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kvmwizard.run.liveness import (
    LOCK_NAME,
    LockRecord,
    ProcessIdentity,
    boot_id,
    living_runner,
    lock_record,
    process_start,
    send_signal,
    this_process,
)
from kvmwizard.words import say

HOLD = """
import sys, time
from pathlib import Path
from kvmwizard.run.liveness import RunLock
lock = RunLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
time.sleep(60)
"""


def hold(directory: Path) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", HOLD, str(directory)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_who_holds_the_lock_is_alive_until_killed(tmp_path: Path) -> None:
    assert living_runner(tmp_path) is None
    process = hold(tmp_path)
    runner = living_runner(tmp_path)
    assert runner is not None
    assert runner.pid == process.pid
    process.kill()
    process.communicate()
    assert living_runner(tmp_path) is None


def test_a_process_that_got_the_number_later_or_another_boot_is_not_alive(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        genuine = lock_record(tmp_path)
        assert genuine is not None
        for change in ({"process_start": 1}, {"boot_id": "another"}):
            forged = LockRecord(holder=genuine.holder.model_copy(update=change))
            (tmp_path / LOCK_NAME).write_text(forged.model_dump_json(), encoding="ascii")
            assert living_runner(tmp_path) is None
            assert not send_signal(forged.holder, signal.SIGKILL)
        assert process.poll() is None
        assert send_signal(genuine.holder, signal.SIGKILL)


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen(["/bin/sleep", "600"])
    started = process_start(process.pid)
    process.kill()
    deadline = time.monotonic() + 10
    while process_start(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert started is not None
    assert not ProcessIdentity(pid=process.pid, process_start=started, boot_id=boot_id()).alive
    process.wait()


def test_this_process_is_alive() -> None:
    assert this_process().alive
    assert this_process().pid == os.getpid()


def test_a_lock_file_that_says_nothing_is_nobody_s(tmp_path: Path) -> None:
    for content in (b"", b"\0" * 4096, b"nonsense", b"{}"):
        (tmp_path / LOCK_NAME).write_bytes(content)
        assert living_runner(tmp_path) is None


def test_why_a_runner_left_is_kept_without_growing_the_file(tmp_path: Path) -> None:
    code = HOLD.replace(
        "time.sleep(60)", "lock.note_problem(__import__('kvmwizard.words').words.say('full'))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parents[2], timeout=30
    )
    record = lock_record(tmp_path)
    assert record is not None
    assert record.problem == say("full")
    assert (tmp_path / LOCK_NAME).stat().st_size == 4096
