"""The journal's events, and the state of a run that they add up to."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kvmwizard.plan.model import Plan
from kvmwizard.words import Words

JOURNAL_VERSION = 4
"""Raised with every kind of event and every field that an earlier reader would take for garbage.

Since 2 steps are left out and restarts waited for; since 3 a failure has a code; since 4 it may
leave a step whose changes are not known, and a step that is stopped says what it has changed.
"""


LATEST_TIME = 253402300799.0
"""The last second of the year 9999, which is the last that Python's calendar knows (datetime.MAXYEAR)."""


class EventModel(BaseModel):
    """The base of every event; `time` is seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: Annotated[float, Field(ge=0, le=LATEST_TIME, allow_inf_nan=False)]


class RunBegan(EventModel):
    """The first event: which plan, by its digest."""

    event: Literal["run-began"] = "run-began"
    journal_version: Annotated[int, Field(ge=1, le=JOURNAL_VERSION)] = 1
    """Of every event that may follow."""
    digest: str
    boot_id: str


class RunnerStarted(EventModel):
    """A runner process took the run (again)."""

    event: Literal["runner-started"] = "runner-started"
    pid: int
    process_start: int
    """Field 22 of /proc/PID/stat, clock ticks since boot."""
    boot_id: str
    retry: bool = False
    """Somebody asked for the failed steps to be tried again."""
    cut_bytes: int = 0
    """How much of the journal's torn end this runner set aside."""


class StepStarted(EventModel):
    """A step is about to act. `before` is what its conditions observed, one entry a condition."""

    event: Literal["step-started"] = "step-started"
    step: str
    attempt: int
    before: tuple[str, ...]
    """Each a JSON text, from `observe`."""


class StepSkipped(EventModel):
    """The world already is as the step wants."""

    event: Literal["step-skipped"] = "step-skipped"
    step: str
    evidence: Words
    payload_digest: str | None = None
    """As in `StepDone`."""


class StepDone(EventModel):
    """A step did its work and its conditions hold."""

    event: Literal["step-done"] = "step-done"
    step: str
    evidence: Words
    changes: tuple[str, ...]
    """The ledger: what is now different from before, each a JSON text that undo understands."""
    payload_digest: str | None = None
    """Where the step packed a tree, what stood in its stamp then: root installs nothing else."""


class StepFailed(EventModel):
    """A step did not bring about its conditions."""

    event: Literal["step-failed"] = "step-failed"
    step: str
    returncode: int | None
    code: str | None = None
    """What went wrong beside commands, as `root_client.Outcome`'s."""
    message: Words
    """What happened, why, and what to do next."""
    changes: tuple[str, ...] | None
    """As of `StepDone`; None where nobody could look at what the step left behind."""


class StepLeftOut(EventModel):
    """Somebody decided that the run goes on without a step that failed, and without what needs it."""

    event: Literal["step-left-out"] = "step-left-out"
    step: str
    user: str
    """Who said so: a login name."""


class RootNeeded(EventModel):
    """No root helper answers: somebody must give the password again."""

    event: Literal["root-needed"] = "root-needed"


class RestartNeeded(EventModel):
    """All that can be done before the machine is restarted is done."""

    event: Literal["restart-needed"] = "restart-needed"
    boot_id: str
    """Of the boot that is to end: under another one, the restart has been."""


class StepStopped(EventModel):
    """A step was ended because somebody asked the run to stop; it waits to be begun again."""

    event: Literal["step-stopped"] = "step-stopped"
    step: str
    changes: tuple[str, ...]
    """As of `StepDone`: what comes later is not the step's."""


class RunStopped(EventModel):
    """Somebody asked the run to stop."""

    event: Literal["run-stopped"] = "run-stopped"


class RunEnded(EventModel):
    """Nothing is left to do: every step is done, skipped, left out, failed or behind a failed one."""

    event: Literal["run-ended"] = "run-ended"
    good: bool


Event = Annotated[
    RunBegan
    | RunnerStarted
    | StepStarted
    | StepSkipped
    | StepDone
    | StepFailed
    | StepLeftOut
    | RootNeeded
    | RestartNeeded
    | StepStopped
    | RunStopped
    | RunEnded,
    Field(discriminator="event"),
]


class StepStatus(StrEnum):
    """How a step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    SKIPPED = "skipped"
    """It was so already."""
    DONE = "done"
    FAILED = "failed"
    LEFT_OUT = "left-out"
    """A person decided to go on without it, or without one that it needs."""


class StepState(BaseModel):
    """One step of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: StepStatus = StepStatus.WAITING
    attempts: int = 0
    started: float | None = None
    ended: float | None = None
    words: Words | None = None
    """The evidence, or the failure's message."""
    left_out_by: str | None = None
    """Who decided to go on without it, or without one that it needs."""
    returncode: int | None = None
    code: str | None = None
    """Of a failure, as `StepFailed`'s."""
    changes: tuple[str, ...] | None = ()
    """The ledger of all attempts; None since an attempt began whose end is not known."""
    before: tuple[str, ...] = ()
    """What the conditions observed before that attempt: it changed what differs from this."""
    earlier: tuple[str, ...] = ()
    """The ledger of the attempts before it."""


class StepProgress(BaseModel):
    """How far a running step has come."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fraction: float | None
    """From 0 to 1; None where nobody can say."""
    words: Words
    """What is going on, or what is being waited for."""
    done: float | None = None
    total: float | None = None
    unit: Literal["", "bytes", "steps"] = ""
    """Of `done` and `total`."""
    seconds_left: float | None = None
    """From the rate of the last minute; None where nobody can say."""


class RunStatus(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    NEEDS_ROOT = "needs-root"
    NEEDS_RESTART = "needs-restart"
    """Goes on after the machine was restarted."""
    RESTARTED = "restarted"
    """The machine was restarted, and nobody has gone on since."""
    STOPPED = "stopped"
    """Asked to; resumable."""
    INTERRUPTED = "interrupted"
    """Its runner is gone without a word; resumable."""
    FAILED = "failed"
    DONE = "done"


class RunState(BaseModel):
    """All that the journal says, plus whether a runner is alive now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    plan: Plan
    status: RunStatus
    steps: dict[str, StepState]
    began: float
    ended: float | None
    notice: Words | None = None
    """As: a torn tail of the journal was left out."""
