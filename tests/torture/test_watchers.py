"""Whoever watches a run takes nothing from it: not its lock, not its time, and all see the same bytes."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvmwizard.run.launch import start_runner
from kvmwizard.run.liveness import LOCK_NAME, take_lock
from kvmwizard.run.model import RunStatus
from kvmwizard.run.store import RunStore
from tests.cli.command import KVMWIZARD, environment
from tests.conftest import Counts, Tries
from tests.run.plans import files, plan_of, removing_step

CHECKOUT = Path(__file__).parents[2]
AT_ONCE_SECONDS = 1.0
WAIT_SECONDS = 60.0
PIPE_BYTES = 65536
"""What a pipe takes from a writer whose reader reads nothing (pipe(7))."""
CHATTERING = (
    "for round in $(seq 100); do seq 100000 100099; printf '\\033[2J%d%%\\r\\377' $round; sleep 0.01; done"
)
"""Prints 70 kB in a second, with all that a terminal must not be given, and a last line without an end."""
LOOKS_FOR_EVER = """
import sys
from pathlib import Path
from kvmwizard.run.liveness import lock_is_held
lock = Path(sys.argv[1])
print("looking", flush=True)
while True:
    lock_is_held(lock)
"""


@contextmanager
def looking_for_ever(lock: Path) -> "Iterator[subprocess.Popen[str]]":
    """A process that does nothing but ask whether the run's runner is alive."""
    argv = [sys.executable, "-c", LOOKS_FOR_EVER, str(lock)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as watcher:
        try:
            assert watcher.stdout is not None
            assert watcher.stdout.readline() == "looking\n"
            yield watcher
        finally:
            watcher.kill()


def stopped(process: "subprocess.Popen[str]") -> bool:
    state = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    return state == "T"


def test_a_watcher_stopped_at_any_moment_keeps_no_runner_from_its_lock(
    tmp_path: Path, tries: Tries, counts: Counts, seed: int
) -> None:
    chances = random.Random(seed)  # noqa: S311  -- moments, not secrets
    lock = tmp_path / LOCK_NAME
    lock.touch()
    stops, refused, longest = tries(short=60, full=2000), 0, 0.0
    with looking_for_ever(lock) as watcher:
        for _ in range(stops):
            time.sleep(chances.uniform(0, 0.002))
            watcher.send_signal(signal.SIGSTOP)
            while not stopped(watcher):
                time.sleep(0)
            descriptor = os.open(lock, os.O_RDWR)
            began = time.monotonic()
            refused += not take_lock(descriptor)
            longest = max(longest, time.monotonic() - began)
            os.close(descriptor)
            watcher.send_signal(signal.SIGCONT)
    counts("a watcher stopped while it looks", stops=stops, runners_refused=refused)
    assert refused == 0
    assert longest < AT_ONCE_SECONDS


class Watcher:
    """`kvmwizard log --follow --raw`, its output in a file of its own or in a pipe that nobody reads."""

    def __init__(self, home: Path, state: Path, number: int, *, is_read: bool = True) -> None:
        self.complaints = home / f"complaints-{number}"
        self.output = home / f"output-{number}"
        with contextlib.ExitStack() as opened:
            errors = opened.enter_context(self.complaints.open("wb"))
            output = opened.enter_context(self.output.open("wb")) if is_read else subprocess.PIPE
            # Who tests in the background of a shell hands on that Ctrl-C is ignored.
            heeding = ("env", "--default-signal=INT")
            self.process = subprocess.Popen(
                [*heeding, *KVMWIZARD, "log", "--follow", "--raw", "--state-dir", str(state)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=environment(home),
                cwd=CHECKOUT,
            )

    def said(self) -> str:
        return self.complaints.read_text(encoding="utf-8")

    def saw(self) -> bytes:
        """All that it printed, once it has ended."""
        if self.process.stdout is not None:
            with self.process.stdout as unread:
                self.output.write_bytes(unread.read())
        assert self.process.wait(WAIT_SECONDS) == 0, self.said()
        return self.output.read_bytes()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def ending() -> Iterator[list[Watcher]]:
    """Watchers that are killed at the end, whatever became of the test."""
    watchers: list[Watcher] = []
    yield watchers
    for watcher in watchers:
        watcher.process.kill()
        watcher.process.wait()


def test_stopped_and_slow_watchers_hold_no_run_up_and_all_see_the_same_bytes(
    tmp_path: Path, tries: Tries, counts: Counts, ending: list[Watcher]
) -> None:
    first, second = files(tmp_path, "first", "second")
    store = RunStore(tmp_path / "state")
    steps = (
        removing_step(first, script=CHATTERING),
        removing_step(second, script=CHATTERING, needs=("first",)),
    )
    run_id = store.create(plan_of(*steps))
    number = tries(short=3, full=20)
    ending += [
        Watcher(tmp_path, store.state_directory, each, is_read=each % 3 != 1) for each in range(number)
    ]
    # Called before the run has begun, each says so and waits.
    wait_until(lambda: all("Waiting for it" in watcher.said() for watcher in ending))
    start_runner(store, run_id)
    wait_until(lambda: all(each.output.stat().st_size > 0 for each in ending if each.output.exists()))
    stopped_ones = ending[2::3]
    for watcher in stopped_ones:
        watcher.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: store.read(run_id).status is not RunStatus.RUNNING)
    assert store.read(run_id).status is RunStatus.DONE
    on_disk = b"".join(store.log_path(run_id, step.id).read_bytes() for step in steps)
    assert len(on_disk) > 2 * PIPE_BYTES
    for watcher in stopped_ones:
        assert watcher.output.stat().st_size < len(on_disk), "it was stopped before the end"
        watcher.process.send_signal(signal.SIGCONT)
    differing = sum(watcher.saw() != on_disk for watcher in ending)
    counts(
        "watchers of one run",
        watchers=number,
        stopped=len(stopped_ones),
        never_read=len(ending[1::3]),
        bytes=len(on_disk),
        that_saw_other_bytes=differing,
    )
    assert differing == 0


def test_whoever_leaves_a_run_by_ctrl_c_is_told_that_it_goes_on(
    tmp_path: Path, ending: list[Watcher]
) -> None:
    (first,) = files(tmp_path, "first")
    store = RunStore(tmp_path / "state")
    run_id = store.create(plan_of(removing_step(first, script=CHATTERING)))
    watcher = Watcher(tmp_path, store.state_directory, 0)
    ending.append(watcher)
    wait_until(lambda: "Waiting for it" in watcher.said())
    start_runner(store, run_id)
    wait_until(lambda: watcher.output.stat().st_size > 0)
    watcher.process.send_signal(signal.SIGINT)
    watcher.saw()
    assert "The run is not stopped by this" in watcher.said()
    wait_until(lambda: store.read(run_id).status is RunStatus.DONE)
