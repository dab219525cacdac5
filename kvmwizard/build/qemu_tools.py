"""How QEMU's configure, make and ninja are called: with one environment for every step."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kvmwizard.build.failures import build_failure
from kvmwizard.build.log import AttemptLog
from kvmwizard.build.qemu_tree import BuildRefused, version_of
from kvmwizard.job import FIXED_ENVIRONMENT, Job

ANSWER_SECONDS = 120


def build_environment(build: Path) -> dict[str, str]:
    """What they run with beside `job.FIXED_ENVIRONMENT`.

    Whoever builds, and whenever, the same comes of it: no settings or modules of
    the builder's home, and one date where a date is written
    (reproducible-builds.org, SOURCE_DATE_EPOCH).
    """
    return {
        "HOME": str(build),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": "315532800",
    }


class ToolKilled(BuildRefused):
    """A tool was killed, and may have left something half-written."""


@dataclass(frozen=True)
class QemuTools:
    """configure, make and ninja for one source tree and one build folder."""

    job: Job
    tree: Path
    build: Path
    log: AttemptLog = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log", AttemptLog(self.job.log))

    @property
    def version(self) -> str:
        """What the tree says it is."""
        return version_of(self.tree)

    def run(self, argv: Sequence[str], environment: Mapping[str, str] | None = None, jobs: int = 1) -> None:
        """Run one in the build folder, with what it prints in the log.

        Raises:
            ToolKilled: it was.
            BuildRefused: it ended with an error; why, as far as its output tells.
            OSError: it could not be started.
        """
        ended = self.job.run(argv, self.build, {**build_environment(self.build), **(environment or {})})
        if ended.returncode != 0:
            refusal = BuildRefused if ended.returncode > 0 else ToolKilled
            raise refusal(build_failure("qemu", self.version, self.log.end(), jobs))

    def ask(self, argv: Sequence[str], directory: Path | None = None) -> tuple[int, str]:
        """Run one for its answer, which stays out of the log: its exit code, and what it printed.

        Raises:
            OSError: it could not be started.
            subprocess.TimeoutExpired: it said nothing for two minutes.
        """
        answer = subprocess.run(
            argv,
            cwd=directory or self.build,
            env={**FIXED_ENVIRONMENT, **build_environment(self.build)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ANSWER_SECONDS,
            check=False,
        )
        return answer.returncode, answer.stdout.decode(errors="replace")


def program_path(*names: str) -> str | None:
    """Where the first of the programs is that this machine has; None where it has none."""
    found = (shutil.which(name, path=FIXED_ENVIRONMENT["PATH"]) for name in names)
    return next((path for path in found if path is not None), None)
