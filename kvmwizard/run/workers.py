"""Which process carries out an action as the builder, and what it told last."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from kvmwizard.job import proxy_environment
from kvmwizard.plan.build_model import BuilderAction, ProveGuests
from kvmwizard.run.build_folder import builder_ids
from kvmwizard.run.log import tail
from kvmwizard.run.model import LATEST_TIME, StepProgress
from kvmwizard.words import Words

MODULES = {
    "download-source": "kvmwizard.fetch.worker",
    "unpack-source": "kvmwizard.fetch.worker",
    "fetch-tag": "kvmwizard.fetch.worker",
    "unpack-packages": "kvmwizard.build.packages",
    "configure-kernel": "kvmwizard.build.kernel",
    "compile-kernel": "kvmwizard.build.kernel",
    "stage-kernel": "kvmwizard.build.kernel",
    "boot-kernel": "kvmwizard.proof.kernel",
    "configure-qemu": "kvmwizard.build.qemu",
    "compile-qemu": "kvmwizard.build.qemu",
    "stage-qemu": "kvmwizard.build.qemu",
    "prove-guests": "kvmwizard.proof.worker",
}
"""The module whose `main` does the action, by the action's kind."""

_WORDS: TypeAdapter[Words] = TypeAdapter(Words)

_Time = Annotated[float, Field(ge=0, le=LATEST_TIME)]
_Count = Annotated[float, Field(ge=0, le=2**63)]


class _Told(BaseModel):
    """A line of a worker's progress: see `job.Progress.tell`."""

    time: _Time
    words: Words
    done: _Count | None
    total: _Count | None
    unit: Literal["", "bytes", "steps"]


class WorkerRefusal(BaseModel):
    """A worker's last line where it gives up: see `job.Progress.refuse`."""

    time: _Time
    refused: Words
    """What happened, why, and what to do next."""
    code: str | None = None
    """As `Refusal`'s."""


def worker_argv(
    action: BuilderAction | ProveGuests, builder: str | None, progress: Path, log: Path
) -> tuple[str, ...]:
    """The command that carries the action out. Raises RunRefused for a builder whom this machine lacks."""
    module = MODULES[action.kind]
    rights: tuple[str, ...] = ()
    if builder is not None and os.geteuid() == 0:
        rights = ("--as", "{}:{}".format(*builder_ids(builder)))
    files = ("--progress", str(progress), "--log", str(log))
    return (sys.executable, "-m", module, *files, *rights, action.model_dump_json())


def worker_environment() -> dict[str, str]:
    """Where the worker finds this program, and the proxies that the person set."""
    ours = str(Path(__file__).resolve().parents[2])
    return {**proxy_environment(), "PYTHONPATH": ours, "PYTHONDONTWRITEBYTECODE": "1"}


def last_told(progress: Path) -> StepProgress | None:
    """How far the worker has come, with the time left from its rate; None if it is silent. Raises OSError."""
    lines = [told for told in map(_told, tail(progress, RATE_LINES)) if told is not None]
    if not lines:
        return None
    last = lines[-1]
    fraction = min(1.0, last.done / last.total) if last.done is not None and last.total else None
    return StepProgress(
        fraction=fraction,
        words=last.words,
        done=last.done,
        total=last.total,
        unit=last.unit,
        seconds_left=_seconds_left(lines),
    )


RATE_LINES = 300
"""At five lines a second, the last minute."""


def _seconds_left(lines: list[_Told]) -> float | None:
    last = lines[-1]
    points = [(line.time, line.done) for line in lines if line.done is not None and line.unit == last.unit]
    if last.done is None or not last.total or len(points) < 2:  # noqa: PLR2004  -- a rate needs two points
        return None
    first_time, first_done = points[0]
    seconds, progressed = last.time - first_time, last.done - first_done
    if seconds <= 0 or progressed <= 0:
        return None
    return max(0.0, (last.total - last.done) * seconds / progressed)


def refusal(progress: Path) -> WorkerRefusal | None:
    """Why the worker did not do it; None where it did not say. Raises OSError."""
    for line in tail(progress, 1):
        try:
            return WorkerRefusal.model_validate_json(line)
        except ValidationError:
            return None
    return None


def told_words(told: object) -> Words | None:
    """A sentence as a worker wrote it; None for what is none."""
    try:
        return _WORDS.validate_python(told)
    except ValidationError:
        return None


def _told(line: str) -> _Told | None:
    """The line as the worker wrote it; None for a refusal, and for one that a full disk tore."""
    try:
        return _Told.model_validate_json(line)
    except ValidationError:
        return None
