"""Whoever watches a run takes nothing from it: not its lock, not its time, and all see the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvmwizard.run.liveness import LOCK_NAME, take_lock
from tests.conftest import Counts, Tries

CHECKOUT = Path(__file__).parents[2]
AT_ONCE_SECONDS = 1.0
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
