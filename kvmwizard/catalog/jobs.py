"""How many compilers run at the same time: as many as processors and memory allow."""

from dataclasses import dataclass
from typing import Literal

from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import known
from kvmwizard.words import Words, say

MEGABYTES = 1024 * 1024
KERNEL_JOB_BYTES = 500 * MEGABYTES
"""Of a compiler of the kernel's C at its largest."""
DEBUG_JOB_BYTES = 900 * MEGABYTES
"""With debugging symbols."""
QEMU_JOB_BYTES = 1024 * MEGABYTES
"""Of a compiler of QEMU's C with its link at the end."""
LINK_BYTES = 1024 * MEGABYTES
"""Set aside for the rest of the machine and for linking the whole."""


@dataclass(frozen=True)
class Jobs:
    """How many compilers at the same time."""

    count: int
    words: Words | None
    """Why it is not as many as there are processors, or what to look out for; None where neither."""


def jobs_for(
    facts: Facts, project: Literal["linux", "qemu"], wanted: int | None, *, debug_info: bool = False
) -> Jobs:
    """The number of compilers that processors and available memory allow; the person's wish goes before.

    Args:
        facts: the machine's processors and memory.
        project: what is compiled.
        wanted: what the person asked for; None: nothing.
        debug_info: whether the kernel gets debugging symbols.
    """
    processors = max(1, known(facts.processor.processors, 1))
    available = known(facts.memory.available, None)
    if available is None:
        return Jobs(wanted or processors, None)
    each = _job_bytes(project, debug_info=debug_info)
    possible = max(1, (available - LINK_BYTES) // each)
    gigabytes = f"{available / 1024 / MEGABYTES:.1f}"
    if wanted is not None:
        short = say(
            "{wanted} jobs may need more memory than the {gigabytes} GB that are free. If a compiler is "
            "killed, choose {possible} or fewer.",
            wanted=wanted,
            gigabytes=gigabytes,
            possible=possible,
        )
        return Jobs(wanted, short if wanted > possible else None)
    if possible >= processors:
        return Jobs(processors, None)
    fewer = say(
        "{possible} jobs rather than {processors}, fewer because of memory: {gigabytes} GB are free, and "
        "each takes up to {megabytes} MB.",
        possible=possible,
        processors=processors,
        gigabytes=gigabytes,
        megabytes=each // MEGABYTES,
    )
    return Jobs(possible, fewer)


def why_not_together(
    facts: Facts, linux_jobs: int, qemu_jobs: int, *, debug_info: bool = False
) -> Words | None:
    """Why a kernel and a QEMU are not compiled at the same time; None where memory holds both.

    As for `jobs_for`, memory that nobody knows is taken for enough.

    Args:
        facts: the machine's available memory.
        linux_jobs: compilers of the kernel at the same time.
        qemu_jobs: those of QEMU.
        debug_info: whether the kernel gets debugging symbols.
    """
    available = known(facts.memory.available, None)
    linux, qemu = (_job_bytes("linux", debug_info=debug_info), _job_bytes("qemu", debug_info=False))
    needed = LINK_BYTES + linux_jobs * linux + qemu_jobs * qemu
    if available is None or needed <= available:
        return None
    return say(
        "Linux and QEMU are compiled one after the other: {gigabytes} GB of memory are free, and together "
        "they may take {needed} GB.",
        gigabytes=f"{available / 1024 / MEGABYTES:.1f}",
        needed=f"{needed / 1024 / MEGABYTES:.1f}",
    )


def _job_bytes(project: Literal["linux", "qemu"], *, debug_info: bool) -> int:
    if project == "qemu":
        return QEMU_JOB_BYTES
    return DEBUG_JOB_BYTES if debug_info else KERNEL_JOB_BYTES
