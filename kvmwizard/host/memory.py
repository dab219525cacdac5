"""Memory, huge pages and the disk space that work will need."""

from kvmwizard.host.reading import FactModel, Reading


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
