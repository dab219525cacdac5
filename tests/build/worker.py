"""Runs a worker process as the runner does: its output goes to the step's log, its progress to a file."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from kvmwizard.host.host import command_environment
from kvmwizard.plan.build_model import BuildAction
from kvmwizard.product import Stamp, read_stamp
from kvmwizard.run.liveness import process_groups
from kvmwizard.run.workers import MODULES, worker_environment
from kvmwizard.words import Words

WORDS: TypeAdapter[Words] = TypeAdapter(Words)
IDENTITY = "ab" * 32


@dataclass(frozen=True)
class Ended:
    """What is left of a worker that has ended."""

    returncode: int
    log: str
    told: list[dict[str, Any]]
    stamp: Stamp | None

    @property
    def refused(self) -> str:
        """The sentence with which it ended; empty where it did its work."""
        last = self.told[-1] if self.told else {}
        return WORDS.validate_python(last["refused"]).english if "refused" in last else ""

    @property
    def said(self) -> list[str]:
        """What it told meanwhile."""
        return [WORDS.validate_python(line["words"]).english for line in self.told if "words" in line]


class Worker:
    """A worker process that runs."""

    def __init__(self, action: BuildAction, folder: Path) -> None:
        """Start it; its files are made in `folder`, and are its own."""
        self._action = action
        self._log, self._progress = folder / "step.log", folder / "step.progress"
        self._progress.unlink(missing_ok=True)
        kind = json.loads(action.model_dump_json())["kind"]
        argv = [sys.executable, "-m", MODULES[kind]]
        argv += ["--progress", str(self._progress), "--log", str(self._log), action.model_dump_json()]
        with self._log.open("ab") as log:
            self._start = log.tell()
            self._process = subprocess.Popen(
                argv,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**command_environment(), **worker_environment()},
                start_new_session=True,
            )

    def log(self) -> str:
        """What it and its commands wrote so far."""
        with self._log.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it and all that it started, at once.

        That is its session: ninja puts each of its commands in a process group of its own.
        """
        while groups := process_groups(self._process.pid):
            for group in groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            self._process.poll()
        self._process.wait()

    def end(self, seconds: float = 600) -> Ended:
        """Wait for its end."""
        try:
            returncode = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        lines = self._progress.read_text().splitlines() if self._progress.exists() else []
        told = [json.loads(line) for line in lines]
        return Ended(returncode, self.log(), told, read_stamp(Path(self._action.stamp)))


def run_worker(action: BuildAction, folder: Path, seconds: float = 600) -> Ended:
    """Run a worker to its end."""
    return Worker(action, folder).end(seconds)
