"""Memory, huge pages and the disk space that work will need."""

import os
import re
from pathlib import Path

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import assignments, bracketed, not_shown, not_understood, whole_number
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason

MEMINFO = "/proc/meminfo"
HUGE_PAGES = "/sys/kernel/mm/hugepages"
TRANSPARENT_HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
SAME_PAGE_MERGING = "/sys/kernel/mm/ksm/run"


class HugePagePool(FactModel):
    """One size of huge page."""

    kilobytes: int
    total: int
    free: int


class MemoryFacts(FactModel):
    """Memory in bytes."""

    total: Reading[int]
    available: Reading[int]
    swap: Reading[int]
    huge_pages: Reading[tuple[HugePagePool, ...]]
    transparent_huge_pages: Reading[str]
    """always, madvise or never."""
    same_page_merging: Reading[bool]
    """/sys/kernel/mm/ksm/run is 1."""


class DiskFacts(FactModel):
    """The file systems that matter, in bytes."""

    build_directory: str
    build_free: Reading[int]
    root_free: Reading[int]
    boot_free: Reading[int]
    """The file system that holds /boot."""


def read_memory(host: Host) -> MemoryFacts:
    """Memory and its pages (proc_meminfo(5), admin-guide/mm/hugetlbpage.rst, transhuge.rst, ksm.rst)."""
    text = host.read_word(MEMINFO)
    amounts = text if isinstance(text, Unknown) else dict(assignments(text, ":"))
    return MemoryFacts(
        total=_amount(amounts, "MemTotal"),
        available=_amount(amounts, "MemAvailable"),
        swap=_amount(amounts, "SwapTotal"),
        huge_pages=_huge_pages(host),
        transparent_huge_pages=bracketed(host.read_word(TRANSPARENT_HUGE_PAGES), TRANSPARENT_HUGE_PAGES),
        same_page_merging=_same_page_merging(host),
    )


def read_disk(host: Host, build_directory: Path) -> DiskFacts:
    """The free space of the file systems that matter; on the live machine alone."""
    return DiskFacts(
        build_directory=str(build_directory),
        build_free=_free(host, build_directory),
        root_free=_free(host, Path("/")),
        boot_free=_free(host, Path("/boot")),
    )


def _amount(amounts: dict[str, str] | Unknown, name: str) -> Reading[int]:
    if isinstance(amounts, Unknown):
        return amounts
    if name not in amounts:
        return not_shown(f"{MEMINFO}: {name}")
    found = re.fullmatch(r"([0-9]{1,18}) kB", amounts[name])
    return int(found[1]) * 1024 if found else not_understood(amounts[name], MEMINFO)


def _huge_pages(host: Host) -> Reading[tuple[HugePagePool, ...]]:
    names = host.list_directory(HUGE_PAGES)
    if isinstance(names, Unknown):
        return names
    pools = []
    for name in names or ():
        size = re.fullmatch(r"hugepages-([0-9]{1,18})kB", name)
        total = whole_number(host.read_word(f"{HUGE_PAGES}/{name}/nr_hugepages"), name)
        free = whole_number(host.read_word(f"{HUGE_PAGES}/{name}/free_hugepages"), name)
        if size and isinstance(total, int) and isinstance(free, int):
            pools.append(HugePagePool(kilobytes=int(size[1]), total=total, free=free))
    return tuple(sorted(pools, key=lambda pool: pool.kilobytes))


def _same_page_merging(host: Host) -> Reading[bool]:
    running = host.read_word(SAME_PAGE_MERGING)
    return running if isinstance(running, Unknown) else running == "1"


def _free(host: Host, directory: Path) -> Reading[int]:
    """Bytes that the caller may still fill, on the file system of the nearest directory that exists."""
    if not host.live:
        return Unknown(unknown=UnknownReason.NOT_LIVE, detail=str(directory))
    for each in (directory, *directory.parents):
        try:
            found = os.statvfs(each)
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = UnknownReason.NOT_READABLE
            if isinstance(error, PermissionError):
                reason = UnknownReason.NOT_PERMITTED
            return Unknown(unknown=reason, detail=f"{each}: {error.strerror}")
        return found.f_bavail * found.f_frsize
    return not_shown(str(directory))
