import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kvmwizard.host.host import command_environment
from kvmwizard.host.identity import stored_identity
from kvmwizard.proof.process import WaitEnd, emulator_process, hand_over, private_directory
from tests.proof.contexts import Watched

CHECKOUT = Path(__file__).parents[2]


def never() -> bool:
    return False


def ignore(_seconds: int) -> None:
    """Progress that nobody listens to."""


def is_running(process_id: int) -> bool:
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_gone(process_id: int) -> bool:
    for _ in range(200):
        if not is_running(process_id):
            return True
        time.sleep(0.05)
    return False


def test_it_waits_for_the_end_and_keeps_output_and_status(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]
    with emulator_process(argv, tmp_path, None) as emulator:
        assert emulator.wait(Watched().context(), 60, never, ignore) is WaitEnd.ENDED
        assert emulator.returncode == 7
        assert emulator.output() == "out\nerr\n"


def test_it_runs_in_its_directory_with_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/ours")
    argv = ["/bin/sh", "-c", "pwd; env; read line || echo no input; ps -o sid= -p $$ >/dev/null; echo $$"]
    with emulator_process(argv, tmp_path, None) as emulator:
        emulator.wait(Watched().context(), 60, never, ignore)
        lines = emulator.output().splitlines()
    assert lines[0] == str(tmp_path)
    assert "no input" in lines
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names <= {*command_environment(), "PWD", "OLDPWD", "SHLVL", "_"}


def test_it_ends_as_soon_as_what_is_waited_for_came(tmp_path: Path) -> None:
    with emulator_process(["/bin/sh", "-c", "echo ready; exec sleep 600"], tmp_path, None) as emulator:
        end = emulator.wait(Watched().context(), 60, lambda: "ready" in emulator.output(), ignore)
        assert end is WaitEnd.REACHED
        assert emulator.returncode is None


def test_time_runs_out_and_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    started = time.monotonic()
    with emulator_process(["/bin/sleep", "600"], tmp_path, None) as emulator:
        assert emulator.wait(Watched().context(), 2.5, never, told.append) is WaitEnd.TIMED_OUT
    assert told[0] == 0
    assert len(told) > 1
    assert told == sorted(set(told))
    assert time.monotonic() - started < 30


def test_it_can_be_cancelled_from_another_thread(tmp_path: Path) -> None:
    watched = Watched()
    threading.Timer(0.3, watched.cancelled.set).start()
    with emulator_process(["/bin/sleep", "600"], tmp_path, None) as emulator:
        assert emulator.wait(watched.context(), 60, never, ignore) is WaitEnd.CANCELLED


def test_children_are_killed_with_it(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
    with emulator_process(argv, tmp_path, None) as emulator:
        emulator.wait(Watched().context(), 60, lambda: emulator.output().endswith("\n"), ignore)
        child = int(emulator.output())
        assert is_running(child)
    assert wait_until_gone(child)


def test_an_interrupted_wait_leaves_nothing_running(tmp_path: Path) -> None:
    running: list[int] = []

    def interrupted() -> None:
        argv = ["/bin/sh", "-c", "echo $$; exec sleep 600"]
        with emulator_process(argv, tmp_path, None) as emulator:
            emulator.wait(Watched().context(), 60, lambda: emulator.output().endswith("\n"), ignore)
            running.append(int(emulator.output()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert wait_until_gone(running[0])


def test_it_dies_when_we_are_killed() -> None:
    help_text = subprocess.run(["/usr/bin/setpriv", "--help"], capture_output=True, check=False).stdout
    if b"--pdeathsig" not in help_text:
        pytest.skip("there is no setpriv that can tie a process to its parent (package util-linux)")
    program = (
        "import sys, time, pathlib\n"
        "from kvmwizard.proof.process import emulator_process\n"
        "argv = ['/bin/sh', '-c', 'echo $$; exec sleep 600']\n"
        "with emulator_process(argv, pathlib.Path('/'), None) as emulator:\n"
        "    while not emulator.output().endswith('\\n'): time.sleep(0.05)\n"
        "    print(emulator.output(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as prover:
        assert prover.stdout is not None
        sleeper = int(prover.stdout.readline())
        assert is_running(sleeper)
        prover.send_signal(signal.SIGKILL)
    assert wait_until_gone(sleeper)


def test_the_directory_is_private_and_goes_away() -> None:
    with private_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        assert directory.stat().st_uid == os.geteuid()
        (directory / "file").write_text("gone soon")
    assert not directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_the_directory_and_runs_with_their_groups() -> None:
    identity = stored_identity("nobody")
    assert identity is not None
    argv = ["/bin/sh", "-c", "id -u; id -g; id -G; touch made && ls"]
    with private_directory() as directory:
        hand_over(directory, identity)
        with emulator_process(argv, directory, identity) as emulator:
            emulator.wait(Watched().context(), 60, never, ignore)
            groups = " ".join(str(group) for group in identity.group_ids)
            assert emulator.output().split("\n") == [
                str(identity.user_id),
                str(identity.group_id),
                groups,
                "made",
                "",
            ]
