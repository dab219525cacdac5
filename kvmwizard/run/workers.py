"""Which process carries out an action as the builder, and what it told last."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kvmwizard.job import proxy_environment
from kvmwizard.plan.build_model import BuilderAction
from kvmwizard.run.build_folder import builder_ids
from kvmwizard.run.log import tail
from kvmwizard.run.model import StepProgress
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
}
"""The module whose `main` does the action, by the action's kind."""

_WORDS: TypeAdapter[Words] = TypeAdapter(Words)


def worker_argv(action: BuilderAction, builder: str | None, progress: Path, log: Path) -> tuple[str, ...]:
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
    lines = [line for line in map(_parsed, tail(progress, RATE_LINES)) if "words" in line]
    if not lines:
        return None
    last = lines[-1]
    done, total = last["done"], last["total"]
    fraction = min(1.0, done / total) if done is not None and total else None
    return StepProgress(
        fraction=fraction,
        words=_WORDS.validate_python(last["words"]),
        done=done,
        total=total,
        unit=last["unit"],
        seconds_left=_seconds_left(lines),
    )


RATE_LINES = 300
"""At five lines a second, the last minute."""


def _seconds_left(lines: list[dict[str, Any]]) -> float | None:
    last = lines[-1]
    counted = [line for line in lines if line["done"] is not None and line["unit"] == last["unit"]]
    if last["done"] is None or not last["total"] or len(counted) < 2:  # noqa: PLR2004  -- a rate needs two points
        return None
    first = counted[0]
    seconds, progressed = last["time"] - first["time"], last["done"] - first["done"]
    if seconds <= 0 or progressed <= 0:
        return None
    left: float = (last["total"] - last["done"]) * seconds / progressed
    return max(0.0, left)


def refusal(progress: Path) -> Words | None:
    """Why the worker did not do it, in its own words; None where it did not say. Raises OSError."""
    for line in map(_parsed, tail(progress, 1)):
        if "refused" in line:
            return told_words(line["refused"])
    return None


def told_words(told: object) -> Words | None:
    """A sentence as a worker wrote it; None for what is none."""
    try:
        return _WORDS.validate_python(told)
    except ValidationError:
        return None


def _parsed(line: str) -> dict[str, Any]:
    """The line as the worker wrote it; empty for one that a full disk tore."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
