"""Many wizards on one session at once: one writes, the others watch, and a dead one's lock is no lock."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kvmwizard.run.launch import start_runner
from kvmwizard.run.liveness import (
    LOCK_NAME,
    LockRecord,
    living_runner,
    send_signal,
    this_process,
)
from kvmwizard.run.model import RunnerStarted, RunStatus
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from tests.conftest import Counts, Tries
from tests.end_to_end.wizard import page_shown
from tests.run.plans import files, plan_of, removing_step, starts
from tests.torture.terminal import LocalTerminal, open_here, wait_for_page_here

SLOW = pytest.mark.slow
TOGETHER = 20
OPEN_ALREADY = "is open already in another terminal"
NEVER_A_PROCESS = 2**22 + 1
"""Above the largest process number that Linux gives (PID_MAX_LIMIT, proc(5))."""
ANOTHER_BOOT = "00000000-0000-4000-8000-000000000000"
RUN_SECONDS = 60.0
ANSWERS_IN_BETWEEN = 20
ANSWER_SECONDS = 0.1
ELECTIONS = 3
"""In each round: at first, after the first holder's death, and after the second's."""

STALE_LOCKS = (
    pytest.param(lambda: f"{NEVER_A_PROCESS}\n", id="of a dead process"),
    pytest.param(lambda: f"{os.getpid()}\n", id="of a process that has the number now", marks=SLOW),
    pytest.param(lambda: "nonsense" * 1000, id="that says nothing", marks=SLOW),
)


def watches(screen: str) -> bool:
    return OPEN_ALREADY in one_line(screen)


def writes(screen: str) -> bool:
    """Only who has the session turns the first page; an Enter more turns the next."""
    return page_shown(screen) not in {None, "Welcome"}


def elected(wizards: Sequence[LocalTerminal]) -> list[LocalTerminal]:
    """Press Enter in all at once, and wait until each has its part: those that write."""
    for wizard in wizards:
        wizard.press("Enter")
    for wizard in wizards:
        wizard.wait_until(lambda screen: watches(screen) or writes(screen), "a wizard that knows its part")
    return [wizard for wizard in wizards if writes(wizard.screen)]


def elected_again(wizards: Sequence[LocalTerminal], dead: str) -> list[LocalTerminal]:
    """Have all that watch try again, until each writes or tells of a living holder: those that write."""

    # What a trial before this one was answered is no answer to this one.
    stale = {one_line(wizard.screen) for wizard in wizards}

    def has_its_part(screen: str) -> bool:
        said = one_line(screen)
        return writes(screen) or ("Tried again" in said and dead not in said and said not in stale)

    for wizard in wizards:
        wizard.press("Enter")
    for wizard in wizards:
        for _ in range(ANSWERS_IN_BETWEEN):
            # Who has just got the lock has not yet written its number over the one before.
            wizard.pass_by(ANSWER_SECONDS)
            if has_its_part(wizard.screen):
                break
            if watches(wizard.screen):
                wizard.press("Enter")
        wizard.wait_until(has_its_part, "who has the session")
    return [wizard for wizard in wizards if writes(wizard.screen)]


def one_line(screen: str) -> str:
    return " ".join(screen.split())


def saved_as(store: SessionStore) -> tuple[int, int]:
    """Which file the session is: every save makes another."""
    status = store.path.stat()
    return status.st_ino, status.st_mtime_ns


def a_round(state: Path, count: int) -> tuple[int, int]:
    """How many wizards write of those started at once, and, when that one is killed, of the others."""
    store = SessionStore(state)
    with contextlib.ExitStack() as stack:
        wizards = [stack.enter_context(open_here(state)) for _ in range(count)]
        for wizard in wizards:
            wizard.wait_until(lambda screen: "kvmwizard" in screen, "anything")
        first = elected(wizards)
        assert store.load().session.page == "hardware"
        written = saved_as(store)
        watching = [wizard for wizard in wizards if wizard not in first]
        for wizard in watching:
            wizard.press("Down", "Up", "Escape")
        assert elected_again(watching, dead="nobody") == []
        assert saved_as(store) == written, "who watches changes nothing"
        for wizard in first:
            wizard.kill()
        return len(first), len(elected_again(watching, dead=f"(process {first[0].process})"))


def test_of_wizards_started_at_once_one_writes(tmp_path: Path, tries: Tries, counts: Counts) -> None:
    rounds, together = tries(short=1, full=100), tries(short=3, full=TOGETHER)
    results = [a_round(tmp_path / str(number), together) for number in range(rounds)]
    counts(
        "Wizards started at once",
        rounds=rounds,
        wizards=together,
        rounds_with_one_writer=results.count((1, 1)),
    )
    assert results == [(1, 1)] * rounds


class Contender:
    """A process that tries for a lock whenever it is told to; it keeps what it got until it is killed."""

    def __init__(self, take: Callable[[], bool]) -> None:
        told, self._tell = os.pipe()
        self._answers, answer = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                while os.read(told, 1):
                    os.write(answer, b"1" if take() else b"0")
            finally:
                os._exit(0)
        os.close(told)
        os.close(answer)

    def begin(self) -> None:
        os.write(self._tell, b".")

    def got_it(self) -> bool:
        return os.read(self._answers, 1) == b"1"

    def kill(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self._tell)
        os.close(self._answers)


def contest(contenders: Sequence[Contender]) -> list[Contender]:
    """Have all try at once: those that got the lock."""
    for each in contenders:
        each.begin()
    return [each for each in contenders if each.got_it()]


@contextlib.contextmanager
def contending(count: int, take: Callable[[], bool]) -> Iterator[list[Contender]]:
    """Processes that try for the same lock; who removes one from the list has killed it."""
    living = [Contender(take) for _ in range(count)]
    try:
        yield living
    finally:
        for each in living:
            each.kill()


def test_one_of_twenty_gets_the_session_and_after_its_death_one_of_the_rest(
    tmp_path: Path, tries: Tries, counts: Counts
) -> None:
    rounds = tries(short=5, full=1000)
    single = 0
    for number in range(rounds):
        store = SessionStore(tmp_path / str(number))
        with contending(TOGETHER, store.lock) as living:
            for _ in range(ELECTIONS):
                got = contest(living)
                single += len(got) == 1
                for each in got:
                    living.remove(each)
                    each.kill()
    counts(
        "Processes that take the session at once",
        rounds=ELECTIONS * rounds,
        processes=TOGETHER,
        single=single,
    )
    assert single == ELECTIONS * rounds


@pytest.mark.parametrize("content", STALE_LOCKS)
def test_a_lock_left_by_a_dead_wizard_is_taken_over(tmp_path: Path, content: Callable[[], str]) -> None:
    store = SessionStore(tmp_path / "state")
    store.save(Session(page="access"))
    store.lock_path.write_text(content(), encoding="ascii")
    store.lock_path.chmod(0o600)
    with open_here(store.state_directory) as wizard:
        wait_for_page_here(wizard, "Access")
        assert store.lock_path.read_text(encoding="ascii") == f"{wizard.process}\n"


def removing_run(folder: Path, gate: Path) -> tuple[RunStore, str, Path]:
    """A run whose one step waits for the gate to be there."""
    (path,) = files(folder, "a")
    store = RunStore(folder / "state")
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    return store, store.create(plan_of(removing_step(path, script=wait))), path


def wait_for(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RUN_SECONDS
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"boot_id": ANOTHER_BOOT}, id="of another boot"),
        pytest.param({}, id="killed", marks=SLOW),
        pytest.param({"process_start": 1}, id="its number given to another process", marks=SLOW),
        pytest.param({"pid": NEVER_A_PROCESS}, id="of no process", marks=SLOW),
    ],
)
def test_a_run_whose_runner_is_dead_is_taken_over(tmp_path: Path, change: dict[str, int | str]) -> None:
    gate = tmp_path / "gate"
    store, run_id, path = removing_run(tmp_path, gate)
    start_runner(store, run_id)
    runner = living_runner(store.directory(run_id))
    assert runner is not None
    wait_for(lambda: starts(path) == 1)
    assert send_signal(runner, signal.SIGKILL)
    wait_for(lambda: store.read(run_id).status is RunStatus.INTERRUPTED)
    stale = LockRecord(
        holder=(this_process() if "process_start" in change else runner).model_copy(update=change)
    )
    (store.directory(run_id) / LOCK_NAME).write_text(stale.model_dump_json(), encoding="ascii")
    assert store.read(run_id).status is RunStatus.INTERRUPTED
    gate.touch()
    start_runner(store, run_id)
    wait_for(lambda: store.read(run_id).status is RunStatus.DONE)


def runners_of_a_race(folder: Path, together: int) -> int:
    """How many runners take a run on that so many front ends start at once; its step must be begun once."""
    store, run_id, path = removing_run(folder, folder / "gate")
    with ThreadPoolExecutor(together) as threads:
        for started in [
            threads.submit(start_runner, RunStore(store.state_directory), run_id) for _ in range(together)
        ]:
            started.result()
    (folder / "gate").touch()
    wait_for(lambda: store.read(run_id).status is RunStatus.DONE)
    assert starts(path) == 1
    return sum(isinstance(event, RunnerStarted) for event in store.events(run_id))


def test_of_runners_started_at_once_one_runs(tmp_path: Path, tries: Tries, counts: Counts) -> None:
    rounds, together = tries(short=1, full=20), tries(short=3, full=TOGETHER)
    folders = [tmp_path / str(number) for number in range(rounds)]
    for folder in folders:
        folder.mkdir()
    runners = [runners_of_a_race(folder, together) for folder in folders]
    counts("Runners started at once", rounds=rounds, runners=together, rounds_with_one=runners.count(1))
    assert runners == [1] * rounds
