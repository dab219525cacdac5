"""Why a build ended with an error, in words: pulled out of its log. Pure."""

import re

from kvmwizard.catalog.known_failures import known_failure
from kvmwizard.catalog.sources import Project
from kvmwizard.job import DISK_FULL
from kvmwizard.words import Words, say

KILLED_COMPILER = re.compile(r"Killed signal terminated program \w+|signal: 9, SIGKILL")
"""What gcc says, and rustc, of a compiler that was killed: without memory the kernel does (mm/oom_kill.c)."""
KILLED_PROGRAM = re.compile(r"^(?:make.*: \*\*\*.*|/bin/sh: .*|.*: line [0-9]+:.*) Killed$", re.MULTILINE)
NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
ERRORS = (
    re.compile(r"^.*?(?:: |\b)(?:fatal )?error: .*$", re.MULTILINE),
    re.compile(r"^.*undefined reference to .*$", re.MULTILINE),
    re.compile(r"^ERROR: .*$", re.MULTILINE),
    re.compile(r"^.*: (?:command not found|not found|No such file or directory)$", re.MULTILINE),
    re.compile(r"^.*No rule to make target .*$", re.MULTILINE),
    re.compile(r"^FAILED: .*$", re.MULTILINE),
    re.compile(r"^(?:g?make|ninja)[^ ]*: \*\*\* .*$", re.MULTILINE),
)
"""What tells most first: the compiler, the linker, modpost, the shell, ninja, make."""
MOST_CHARACTERS = 300


def build_failure(project: Project, version: str, text: str, jobs: int) -> Words:
    """What went wrong, and what to do next.

    Args:
        project: what was built.
        version: of it.
        text: the end of the attempt's log.
        jobs: how many compilers ran at the same time.
    """
    if KILLED_COMPILER.search(text) or KILLED_PROGRAM.search(text):
        return _out_of_memory(jobs)
    if NO_SPACE.search(text):
        return DISK_FULL
    known = known_failure(project, version, text)
    if known is not None:
        return known
    error = first_error(text)
    if error is None:
        return say("The build ended with an error that it did not name. See its log, then retry.")
    return say(
        "The build failed: {error}. If that is not for you to mend, choose another version or another "
        "compiler. What was built so far is kept.",
        error=error,
    )


def first_error(text: str) -> str | None:
    """The first line of the most telling kind, without a full stop; None where there is none."""
    for pattern in ERRORS:
        found = pattern.search(text)
        if found is not None:
            return found[0].strip().rstrip(".")[:MOST_CHARACTERS]
    return None


def _out_of_memory(jobs: int) -> Words:
    if jobs > 1:
        return say(
            "A compiler was killed, most likely because memory ran out with {jobs} at the same time. Choose "
            "{fewer} jobs, then retry; it goes on where it was.",
            jobs=jobs,
            fewer=max(1, jobs // 2),
        )
    return say(
        "A compiler was killed, most likely because memory ran out with a single job. Close other programs "
        "or add swap space, then retry; it goes on where it was."
    )
