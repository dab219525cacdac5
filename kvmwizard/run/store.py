"""The runs of one state directory: their plans, journals, logs and progress.

    runs/RUN_ID/plan.json        the plan's canonical bytes
                journal.jsonl    what happened, see `journal`
                lock             who runs it, see `liveness`
                logs/STEP.log    what the step's commands printed
                logs/STEP.lock   held by them, see `commands`
                progress/STEP    what the package manager or the worker said of its progress

Directories have mode 0700, files 0600.
"""

import datetime as dt
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from kvmwizard.paths import (
    DirectoryRefused,
    FileRefused,
    cannot_write,
    directory_option,
    private_directory,
    read_own_file,
    sync_directory,
    write_atomically,
)
from kvmwizard.plan.model import Plan, canonical_json, plan_digest
from kvmwizard.run.journal import JournalReading, create_journal, read_journal
from kvmwizard.run.liveness import ProcessIdentity, boot_id, living_runner, lock_is_held, lock_record
from kvmwizard.run.model import (
    JOURNAL_VERSION,
    Event,
    RunBegan,
    RunnerStarted,
    RunState,
    RunStatus,
    StepProgress,
)
from kvmwizard.run.progress import last_progress
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.replay import replay
from kvmwizard.run.root_client import HelperGone, HelperRefused, RootClient
from kvmwizard.run.soundness import garbled_step, has_sound_steps
from kvmwizard.words import Words, say

NAMED_RUNS = 5
"""Of many, as many as somebody looks through."""
RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
"""When the run was made, in UTC: day, time, and in hexadecimal microseconds before three random digits."""

COMMAND_LOCK_SUFFIX = ".lock"
"""Of the file beside a step's log that its commands hold locked."""

LARGEST_PLAN_BYTES = 16 * 1024 * 1024
"""A plan of a kernel and a QEMU from source has some 100 KB; what is cut off here is no plan."""


class RunStore:
    """Every run kept under a state directory."""

    def __init__(self, state_directory: Path) -> None:
        self.state_directory = state_directory
        self._runs = state_directory / "runs"
        self._plans: dict[str, tuple[Plan, str]] = {}

    def create(self, plan: Plan) -> str:
        """A new run of this plan, there even after a power cut; its id.

        Raises RunRefused where it cannot be kept, while another run or a command of one is at work,
        and for a plan that is only to be looked at.
        """
        if plan.only_shown is not None:
            raise RunRefused(plan.only_shown)
        self._refuse_beside_another()
        made = _moment_after(self.runs())
        run_id = f"{made:%Y%m%d-%H%M%S}-{made.microsecond:05x}{secrets.randbelow(0x1000):03x}"
        directory = self._runs / run_id
        with _refusing(directory):
            for each in (
                self.state_directory,
                self._runs,
                directory,
                directory / "logs",
                directory / "progress",
            ):
                private_directory(each)
            write_atomically(directory / "plan.json", canonical_json(plan))
            began = RunBegan(
                time=time.time(),
                journal_version=JOURNAL_VERSION,
                digest=plan_digest(plan),
                boot_id=boot_id(),
            )
            create_journal(journal_path(directory), began)
            sync_directory(self._runs)
        # What root is asked for is the plan that was agreed to, whatever becomes of its file meanwhile.
        self._plans[run_id] = plan, plan_digest(plan)
        return run_id

    def directory(self, run_id: str) -> Path:
        """Where the run is kept. Raises RunRefused where there is no such run."""
        directory = self._runs / run_id
        if RUN_ID.fullmatch(run_id) is None or not os.path.lexists(journal_path(directory)):
            raise RunRefused(self._no_run(run_id))
        return directory

    def _no_run(self, run_id: str) -> Words:
        if self.has_remains(run_id):
            return say(
                "{path} holds no journal, so what the run {run} did cannot be read. Put back what stood "
                "there, or move it away and begin a new run.",
                path=str(self._runs / run_id),
                run=run_id,
            )
        runs = self.runs()
        if not runs:
            return say("There is no run {run}, nor any other, in {path}.", run=run_id, path=str(self._runs))
        return say(
            "There is no run {run} in {path}. Its last ones are: {runs}.",
            run=run_id,
            path=str(self._runs),
            runs=", ".join(runs[-NAMED_RUNS:]),
        )

    def runs(self) -> tuple[str, ...]:
        """The ids of every run, oldest first. Raises RunRefused."""
        with _refusing(self._runs):
            try:
                found = list(self._runs.iterdir())
            except FileNotFoundError:
                return ()
            return tuple(
                sorted(
                    path.name
                    for path in found
                    if RUN_ID.fullmatch(path.name) and os.path.lexists(journal_path(path))
                )
            )

    def has_remains(self, run_id: str) -> bool:
        """Whether anything stands where the run was kept, readable or not."""
        return RUN_ID.fullmatch(run_id) is not None and os.path.lexists(self._runs / run_id)

    def plan(self, run_id: str) -> Plan:
        """The run's plan. Raises RunRefused where it is not the plan that the journal began with."""
        if run_id not in self._plans:
            self._read(run_id)
        return self._plans[run_id][0]

    def runner(self, run_id: str) -> ProcessIdentity | None:
        """The process that carries the run out now. Raises RunRefused."""
        directory = self.directory(run_id)
        with _refusing(directory):
            return living_runner(directory)

    def read(self, run_id: str) -> RunState:
        """How the run stands now. Raises RunRefused."""
        directory = self.directory(run_id)
        with _refusing(directory):
            # Whether somebody is alive is asked first: who ends in between has then journaled its end.
            alive = living_runner(directory) is not None
            plan, reading = self._read(run_id)
            notice = _notice(directory, reading, alive)
        state = replay(run_id, plan, reading.events, alive, boot_id())
        return state.model_copy(update={"notice": notice})

    def events(self, run_id: str) -> tuple[Event, ...]:
        """Everything that the run's journal says, to go by. Raises RunRefused, also for nonsense."""
        plan, reading = self._read(run_id)
        garbled = garbled_step(plan, reading.events)
        if garbled is not None:
            raise RunRefused(
                say(
                    "What the journal {path} says of the step {step} cannot be understood: it was changed, "
                    "or the disk fails. Begin a new run from Review (kvmwizard, then Esc); what earlier "
                    "steps did stays.",
                    path=str(journal_path(self.directory(run_id))),
                    step=garbled,
                )
            )
        return reading.events

    def log_path(self, run_id: str, step_id: str) -> Path:
        """Where the step's log is or will be. Raises RunRefused where there is no such run or step."""
        return self.directory(run_id) / "logs" / f"{self._known_step(run_id, step_id)}.log"

    def progress_path(self, run_id: str, step_id: str) -> Path:
        """Where the package manager's own progress lines of the step go. Raises RunRefused."""
        return self.directory(run_id) / "progress" / self._known_step(run_id, step_id)

    def forget_progress(self, run_id: str, step_id: str) -> None:
        """Remove what an earlier attempt at the step told of itself. Raises RunRefused."""
        path = self.progress_path(run_id, step_id)
        with _refusing(path):
            path.unlink(missing_ok=True)

    def progress(self, run_id: str, step_id: str) -> StepProgress | None:
        """How far a running step has come; None where it does not say. Raises RunRefused."""
        progress, log = self.progress_path(run_id, step_id), self.log_path(run_id, step_id)
        with _refusing(log):
            return last_progress(self.plan(run_id).step(step_id), progress, log)

    def _refuse_beside_another(self) -> None:
        """Two runs would change the same machine at once; the session may have lost sight of the first."""
        for run_id in self.runs():
            if self.runner(run_id) is not None and self.read(run_id).status is RunStatus.RUNNING:
                option = directory_option(self.state_directory)
                raise RunRefused(
                    say(
                        "The run {run} is still under way. Follow it with {follow}, or stop it with {stop}; "
                        "then begin a new one.",
                        run=run_id,
                        follow=f"kvmwizard log --follow{option}",
                        stop=f"kvmwizard apply --stop{option}",
                    )
                )
            # The helper answers who names its plan's digest.
            with suppress(RunRefused):
                self._read(run_id)
            step_id = self.step_at_work(run_id)
            if step_id is not None:
                raise RunRefused(
                    say(
                        "A command of the run {run}, of its step {step}, is still at work, though its runner "
                        "is gone; a new run would work beside it. Wait until it has ended, or go on with "
                        "that run, which waits for it. Then begin a new one.",
                        run=run_id,
                        step=step_id,
                    )
                )

    def step_at_work(self, run_id: str) -> str | None:
        """The step a command of which, or at which root's helper, goes on, as when its runner is killed.

        Raises RunRefused.
        """
        logs = self.directory(run_id) / "logs"
        with _refusing(logs):
            locks = sorted(logs.glob(f"*{COMMAND_LOCK_SUFFIX}"))
            held = next((lock.stem for lock in locks if lock_is_held(lock)), None)
        return held if held is not None or run_id not in self._plans else self._step_of_helper(run_id)

    def _step_of_helper(self, run_id: str) -> str | None:
        try:
            with RootClient.connect(run_id, self._plans[run_id][1]) as helper:
                return next((each.step for each in helper.steps().values() if each.outcome is None), None)
        except (HelperGone, HelperRefused):
            return None

    def _known_step(self, run_id: str, step_id: str) -> str:
        steps = [step.id for step in self.plan(run_id).steps]
        if step_id not in steps:
            raise RunRefused(
                say(
                    "The run has no step {step}. Its steps are: {steps}.",
                    step=step_id,
                    steps=", ".join(steps),
                )
            )
        return step_id

    def _plan_in_file(self, run_id: str) -> tuple[Plan, str]:
        """The plan and its digest, which nobody has compared yet. Raises RunRefused."""
        path = self.directory(run_id) / "plan.json"
        with _refusing(path):
            try:
                found = read_own_file(path, LARGEST_PLAN_BYTES)
            except FileNotFoundError as error:
                raise RunRefused(_unreadable_plan(path)) from error
        try:
            plan = Plan.model_validate_json(found.content)
        except ValidationError as error:
            raise RunRefused(_unreadable_plan(path)) from error
        if not has_sound_steps(plan):
            raise RunRefused(_unreadable_plan(path))
        return plan, hashlib.sha256(found.content).hexdigest()

    def _read(self, run_id: str) -> tuple[Plan, JournalReading]:
        path = journal_path(self.directory(run_id))
        with _refusing(path):
            reading = read_journal(path)
        plan, digest = self._plans.get(run_id) or self._plan_in_file(run_id)
        if digest != reading.began.digest:
            raise RunRefused(
                say(
                    "The plan beside {path} is not the one that was agreed to: it was changed since. "
                    "Begin a new run from Review (kvmwizard, then Esc).",
                    path=str(path),
                )
            )
        self._plans[run_id] = plan, digest
        return plan, reading


def _moment_after(runs: tuple[str, ...]) -> dt.datetime:
    """Now; where the clock was set back since, just after the last run, for the ids tell the runs' order."""
    now = dt.datetime.now(dt.UTC)
    if not runs:
        return now
    try:
        second = dt.datetime.strptime(runs[-1][:15], "%Y%m%d-%H%M%S").replace(tzinfo=dt.UTC)
        return max(now, second + dt.timedelta(microseconds=int(runs[-1][16:21], 16) + 1))
    except (ValueError, OverflowError):
        # An id that is no moment was not given here.
        return now


def journal_path(directory: Path) -> Path:
    """The journal of the run that is kept in this directory."""
    return directory / "journal.jsonl"


def _unreadable_plan(path: Path) -> Words:
    return say(
        "The plan in {path} cannot be read by this kvmwizard. Begin a new run from Review (kvmwizard, then "
        "Esc); what earlier steps did stays.",
        path=str(path),
    )


def _notice(directory: Path, reading: JournalReading, alive: bool) -> Words | None:
    """What the last runner could not say in the journal, else how much of the journal is lost."""
    record = lock_record(directory)
    if record is not None and record.problem is not None:
        return record.problem
    cut = sum(event.cut_bytes for event in reading.events if isinstance(event, RunnerStarted))
    # A living runner may be in the middle of writing its last line; that one is not torn.
    cut += 0 if alive else len(reading.torn)
    if cut == 0:
        return None
    return say(
        "The end of the journal {path} was torn: {count} bytes that are no event are left out. "
        "Every step that was under way is looked at again.",
        path=str(journal_path(directory)),
        count=cut,
    )


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what the system refuses into a sentence."""
    try:
        yield
    except (DirectoryRefused, FileRefused) as error:
        raise RunRefused(error.words) from error
    except OSError as error:
        raise RunRefused(cannot_write(path, error)) from error
