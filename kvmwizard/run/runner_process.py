"""The runner's process, which carries a run out while whoever wants to may watch.

`python -m kvmwizard.run.runner_process STATE_DIRECTORY RUN_ID [--retry] [--leave-out=STEP]`
leaves its terminal, takes the run's lock, says on standard output that it did or why
not, and works until the run's end, or until SIGTERM asks it to stop.
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from kvmwizard.paths import cannot_write
from kvmwizard.run.leaving_out import LEAVE_OUT, UNDER_WAY
from kvmwizard.run.liveness import RunLock
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.runner import Runner
from kvmwizard.run.store import RunStore
from kvmwizard.words import say


def main() -> int:
    """Detach, and answer on standard output whether the run goes on."""
    state_directory, run_id, *options = sys.argv[1:]
    reading, writing = os.pipe()
    if os.fork() > 0:
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            sys.stdout.buffer.write(answer.read())
        return 0
    os.close(reading)
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    left_out = next((each.removeprefix(LEAVE_OUT) for each in options if each.startswith(LEAVE_OUT)), None)
    wanted = Wanted(retry="--retry" in options, left_out=left_out)
    serve(RunStore(Path(state_directory)), run_id, wanted, answer=writing)
    return 0


@dataclass(frozen=True)
class Wanted:
    """What a person wants of the steps that failed."""

    retry: bool
    left_out: str | None


def serve(store: RunStore, run_id: str, wanted: Wanted, answer: int) -> None:
    """In the detached process: take the run, answer, and carry it out."""
    try:
        directory = store.directory(run_id)
        leave_terminal(directory / "runner.log")
        # Who sees the lock may ask for a stop, which must wait until it can be taken down.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        lock = RunLock(directory)
        if not lock.take():
            # That runner takes no more wishes.
            reply(answer, {"running": True} if wanted.left_out is None else {"refused": asdict(UNDER_WAY)})
            return
        runner = Runner(store, run_id, lock)
        signal.signal(signal.SIGTERM, runner.ask_to_stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        runner.begin(wanted.retry, wanted.left_out)
    except (RunRefused, OSError) as error:
        words = error.words if isinstance(error, RunRefused) else cannot_write(store.state_directory, error)
        reply(answer, {"refused": asdict(words)})
        return
    reply(answer, {"running": True})
    try:
        runner.work()
    except Exception:  # noqa: BLE001  -- whatever it is, the person must learn that the runner is gone
        traceback.print_exc()
        log = directory / "runner.log"
        lock.note_problem(
            say(
                "The runner met an error of its own, written to {log}. Please report it, then resume.",
                log=str(log),
            )
        )


def leave_terminal(log: Path) -> None:
    """Nothing of the terminal is kept; what Python itself may have to say goes to a file. Raises OSError."""
    os.chdir("/")
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    errors = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    for number, replacement in ((0, null), (1, null), (2, errors)):
        os.dup2(replacement, number)
    os.close(null)
    os.close(errors)


def reply(answer: int, content: dict[str, object]) -> None:
    """Tell whoever started the runner, who may be gone."""
    try:
        os.write(answer, json.dumps(content).encode("ascii"))
    except BrokenPipeError:
        return
    finally:
        os.close(answer)


if __name__ == "__main__":
    sys.exit(main())
