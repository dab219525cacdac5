"""How far the compiling of a kernel has come: counts what make prints, and foresees how much that will be."""

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from kvmwizard.build.kernel_make import KernelMake
from kvmwizard.build.torn import remove_torn_records
from kvmwizard.job import FIXED_ENVIRONMENT, Progress
from kvmwizard.paths import FileRefused, read_own_file, write_atomically
from kvmwizard.words import say

STEP = re.compile(r"  [A-Z][A-Z0-9_+]*(?: \[\w\])?\s+(\S+)")
"""How kbuild announces one command (scripts/Kbuild.include, `echo-cmd`)."""
FORESEEN_STEP = re.compile(rb"(?:echo|printf) '  [A-Z]")
"""The same among the commands that `make -n` prints."""
PREPARED = "init/main.o"
"""Once this is compiled, all that `make prepare` makes is there, without which `make -n` sees nothing."""
COMPILED_SUFFIXES = frozenset(
    {".o", ".a", ".ko", ".elf", ".bin", ".so", ".dbg", ".gz", ".xz", ".lz4", ".zst"}
)
SAVE_SECONDS = 10.0
LARGEST_TOTALS_BYTES = 64 * 1024
KEPT_TOTALS = 20


class Totals:
    """A file that remembers, by identity, how many steps a build took, and how many were done of one.

    What it says is only told to people; where it cannot be read or written, less is told.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._identity = identity

    def read(self) -> tuple[int, int | None]:
        """How many steps were done before, and how many there are in all where that is known."""
        entry = self._all().get(self._identity)
        if not isinstance(entry, dict):
            return 0, None
        done, total = entry.get("done"), entry.get("total")
        return done if type(done) is int else 0, total if type(total) is int else None

    def write(self, done: int, total: int | None) -> None:
        """Remember it; a finished build has 0 done, so that the next one begins anew."""
        entries = self._all()
        entries.pop(self._identity, None)
        kept = dict(list(entries.items())[-KEPT_TOTALS:])
        kept[self._identity] = {"done": done, "total": total}
        with contextlib.suppress(OSError):
            write_atomically(self._path, json.dumps(kept).encode("ascii"))

    def _all(self) -> dict[str, Any]:
        try:
            said = json.loads(read_own_file(self._path, LARGEST_TOTALS_BYTES).content)
        except (FileRefused, OSError, ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}


class StepCounter:
    """Counts the steps of one build and tells how far it is; `take` is given each line of the log."""

    def __init__(self, progress: Progress, totals: Totals, *, from_scratch: bool) -> None:
        """`from_scratch` where nothing is built yet, so that what is counted is what all of it takes."""
        self._progress = progress
        self._totals = totals
        self._from_scratch = from_scratch
        self._before, self._total = totals.read()
        self._counted = 0
        self._saved = time.monotonic()
        self.prepared = threading.Event()
        if not from_scratch:
            self.prepared.set()

    @property
    def needs_forecast(self) -> bool:
        """Whether nobody knows yet how many steps there are."""
        return self._total is None

    @property
    def done(self) -> int:
        """All steps so far, earlier attempts' too."""
        return self._before + self._counted

    def take(self, line: str) -> None:
        """One line of the log."""
        found = STEP.match(line)
        if found is None:
            return
        self._counted += 1
        if found[1] == PREPARED:
            self.prepared.set()
        # Nothing that is still going on is shown as done.
        total = None if self._total is None else max(self._total, self.done + 1)
        self._progress.tell(say("Compiling {path}", path=found[1]), self.done, total, "steps")
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def foresee(self, steps: int) -> None:
        """So many steps were still to come."""
        self._total = self.done + steps

    def save(self) -> None:
        """Remember how far it is, for an attempt that goes on."""
        self._saved = time.monotonic()
        self._totals.write(self.done, self._total)

    def finish(self) -> None:
        """The build is whole: what an unbroken one from scratch counted is what the next one will count."""
        unbroken = self._from_scratch and self._before == 0
        foreseen = self._total if self._before else None
        self._totals.write(0, self._counted if unbroken else foreseen)


class Forecast:
    """Asks `make -n` how many steps there are, beside the build.

    It asks in a copy of the build folder, with empty files for what is compiled:
    kbuild carries some commands out under -n too (those marked with +), and those
    must not meet the real build.
    """

    def __init__(self, make: KernelMake, targets: tuple[str, ...], counter: StepCounter) -> None:
        self._make = make
        self._targets = targets
        self._counter = counter
        self._folder = make.build.with_name(f"{make.build.name}.forecast")
        self._asking: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._foresee, daemon=True)

    def __enter__(self) -> None:
        # That of an attempt which was killed.
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._counter.needs_forecast:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if not self._thread.is_alive():
            return
        with self._guard:
            self._ended = True
            if self._asking is not None:
                self._asking.terminate()
        self._counter.prepared.set()
        self._thread.join()

    def _foresee(self) -> None:
        self._counter.prepared.wait()
        # A foreseen number is a convenience: without it the steps are counted without an end.
        with contextlib.suppress(OSError, shutil.Error):
            self._ask()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self) -> None:
        if self._ended:
            return
        shutil.copytree(self._make.build, self._folder, symlinks=True, copy_function=_stand_in)
        remove_torn_records(self._folder)
        done = self._counter.done
        with self._guard:
            if self._ended:
                return
            asking = self._asking = self._start()
        steps = sum(len(FORESEEN_STEP.findall(line)) for line in asking.stdout or ())
        if asking.wait() >= 0 and steps:
            self._counter.foresee(max(0, steps - (self._counter.done - done)))

    def _start(self) -> "subprocess.Popen[bytes]":
        make = KernelMake(self._make.job, self._make.tree, self._folder, self._make.variables)
        return subprocess.Popen(
            make.arguments("-n", "-k", *self._targets),
            cwd=make.tree,
            env={**FIXED_ENVIRONMENT, **make.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            close_fds=False,
        )


def _stand_in(source: str, target: str) -> None:
    """A copy of what make reads, and an empty file of the same age for what it only looks at."""
    path = Path(source)
    if path.suffix in COMPILED_SUFFIXES or path.name.startswith("vmlinux"):
        Path(target).touch()
        shutil.copystat(source, target)
    else:
        shutil.copy2(source, target)
