"""Builds the chosen programs of a configured QEMU; goes on where an earlier try was ended."""

import re
from collections.abc import Sequence
from pathlib import Path

from kvmwizard.build.log_follower import LogFollower
from kvmwizard.build.qemu_installed import built_files
from kvmwizard.build.qemu_tools import QemuTools, ToolKilled, program_path
from kvmwizard.build.qemu_torn import remove_torn
from kvmwizard.build.qemu_tree import BuildRefused, built_program, refuse_odd_paths, uses_ninja
from kvmwizard.job import Job, Progress, note
from kvmwizard.plan.build_model import CompileQemu
from kvmwizard.product import write_stamp
from kvmwizard.words import Words, say

COMPILING = "kvmwizard-compiling"
"""There while it is built, and after a build that was killed."""
NINJA_STEP = re.compile(r"\[([0-9]+)/([0-9]+)\] ")
MAKE_STEP = re.compile(r" {2}[A-Z][A-Z0-9+-]* +\S")
"""What QEMU's make prints of each step (rules.mak, quiet-command)."""
FORESEEN_STEP = re.compile(r'^@?(?:echo "  [A-Z]|printf "  %-7s %s\\n" )', re.MULTILINE)
"""How it would print it, with make -n: echo until 2.8, then printf."""


class StepCount:
    """Counts the steps that a build's output tells of, and says how far it is."""

    def __init__(self, progress: Progress, words: Words, total: int | None) -> None:
        """`total` is None where the output itself says how many there are."""
        self._progress = progress
        self._words = words
        self._done = 0
        self._total = total

    def read(self, line: str) -> None:
        """A line that was printed."""
        counted = NINJA_STEP.match(line)
        if counted is not None:
            self._done, self._total = int(counted[1]), int(counted[2])
        elif self._total is not None and MAKE_STEP.match(line):
            self._done += 1
            # What make would do is not known to the last step beforehand.
            self._total = max(self._total, self._done)
        else:
            return
        self._progress.tell(self._words, self._done, self._total, "steps")


def compile_qemu(job: Job) -> None:
    """Carry out a CompileQemu. Raises Refusal, OSError."""
    action = CompileQemu.model_validate(job.action)
    tools = QemuTools(job, Path(action.tree), Path(action.build))
    stamp, compiling = Path(action.stamp), tools.build / COMPILING
    stamp.unlink(missing_ok=True)
    refuse_odd_paths(tools.tree, tools.build)
    if compiling.exists():
        for path in remove_torn(tools.build):
            note(f"Made anew, since it may be torn: {path.relative_to(tools.build)}")
    words = say("Compiling QEMU {version}", version=tools.version)
    job.progress.tell(words)
    command = _ninja_command if uses_ninja(tools.build) else _make_command
    argv, total = command(tools, action.jobs)
    compiling.touch()
    try:
        with LogFollower(tools.log, StepCount(job.progress, words, total).read):
            tools.run(argv, jobs=action.jobs)
    except ToolKilled:
        raise
    except BuildRefused:
        # It ended by itself, so that nothing is torn.
        compiling.unlink()
        raise
    compiling.unlink()
    programs = [built_program(tools.build, name) for name in action.programs]
    versions = [_version(tools, program) for program in programs]
    told = say("compiled; it calls itself {version}", version=versions[0])
    write_stamp(stamp, action.identity, programs, {"versions": versions}, told)


def _ninja_command(tools: QemuTools, jobs: int) -> tuple[Sequence[str], int | None]:
    settings = (tools.build / "config-host.mak").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^NINJA=(/\S+)$", settings, re.MULTILINE)
    ninja = found[1] if found else program_path("ninja", "ninja-build", "samu")
    if ninja is None:
        raise BuildRefused(say("There is no ninja on this machine. Install ninja-build, then retry."))
    return (ninja, f"-j{jobs}", *built_files(tools.build)), None


def _make_command(tools: QemuTools, jobs: int) -> tuple[Sequence[str], int | None]:
    """Without a goal, make builds what will be installed; the tests are a goal of their own."""
    _, foreseen = tools.ask(("make", "-n", "-k"))
    return ("make", f"-j{jobs}", "--output-sync=none"), len(FORESEEN_STEP.findall(foreseen))


def _version(tools: QemuTools, program: Path) -> str:
    """The first line of what the program says when asked for its version. Raises BuildRefused."""
    try:
        returncode, text = tools.ask((str(program), "--version"))
    except FileNotFoundError as error:
        raise BuildRefused(
            say(
                "The build ended well, yet there is no {program}. Is its target among the build options? "
                "Make a new plan on the page Review (kvmwizard, then Esc).",
                program=str(program),
            )
        ) from error
    note(f"{program}: {text.strip()}")
    line = next(iter(text.strip().splitlines()), "")
    if returncode != 0:
        raise BuildRefused(
            say(
                "{program} was built and does not run. It said: {line} See the step's log, then make a new "
                "plan with other build options.",
                program=str(program),
                line=line,
            )
        )
    return line
