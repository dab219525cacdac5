"""Actions carried out as the runner does it: by a worker process, as a builder who is not root."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmwizard.product import Stamp, read_stamp

ROOT = Path(__file__).parents[2]
IDENTITY = "1f" * 32
BUILDER = 61183
"""The number that builds for root: it belongs to no account."""
WORKER_SECONDS = 120
LIBRARIES = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}


@dataclass(frozen=True)
class Done:
    """How a worker ended."""

    returncode: int
    log: str
    told: list[dict[str, Any]]

    @property
    def refused(self) -> str:
        """Its last sentence, in English with its places; empty where it did not refuse."""
        last = self.told[-1] if self.told else {}
        return _filled(last["refused"]) if "refused" in last else ""

    @property
    def code(self) -> str | None:
        """By which a program can tell its refusal."""
        return self.told[-1].get("code") if self.told else None


def _filled(words: dict[str, Any]) -> str:
    places = {
        name: _filled(value) if isinstance(value, dict) else value for name, value in words["places"].items()
    }
    return str(words["template"]).format_map(places)


@dataclass(frozen=True)
class Bench:
    """A folder that the builder owns, and workers in it."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "linux" / "source"

    @property
    def stamp(self) -> Path:
        return self.folder / "linux" / "source.stamp"

    def read_stamp(self) -> Stamp | None:
        return read_stamp(self.stamp)

    def argv(self, action: dict[str, Any]) -> list[str]:
        """The command of a worker."""
        as_builder = ["--as", f"{BUILDER}:{BUILDER}"] if os.geteuid() == 0 else []
        whole = {"identity": IDENTITY, "stamp": str(self.stamp), **action}
        progress = ["--progress", str(self.folder / "progress")]
        module = "kvmwizard.fetch.worker"
        return [sys.executable, "-m", module, *progress, *as_builder, json.dumps(whole)]

    def work(self, action: dict[str, Any]) -> Done:
        """Carry an action out and wait for its end."""
        return self.run(self.argv(action))

    def run(self, argv: Sequence[str]) -> Done:
        """Run a worker's command and wait for its end."""
        self.folder.joinpath("progress").unlink(missing_ok=True)
        done = subprocess.run(
            argv,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=LIBRARIES,
            timeout=WORKER_SECONDS,
        )
        assert "Traceback" not in done.stdout, done.stdout
        lines = self.folder.joinpath("progress").read_text(encoding="ascii").splitlines()
        return Done(done.returncode, done.stdout, [json.loads(line) for line in lines])

    def start(self, action: dict[str, Any]) -> "subprocess.Popen[bytes]":
        """Begin an action, in a process group of its own, to be killed."""
        return subprocess.Popen(
            self.argv(action),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=LIBRARIES,
            start_new_session=True,
        )

    def unpack(self, archive: Path, **more: object) -> Done:
        """Unpack into the tree."""
        return self.work({"kind": "unpack-source", "archive": str(archive), "tree": str(self.tree), **more})


@contextmanager
def bench(place: Path | None = None) -> Iterator[Bench]:
    """A folder of the builder's: not below the tests' own, which is root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="kvmwizard-fetch-", dir=place))
    try:
        if os.geteuid() == 0:
            os.chown(folder, BUILDER, BUILDER)
        yield Bench(folder)
    finally:
        shutil.rmtree(folder)
