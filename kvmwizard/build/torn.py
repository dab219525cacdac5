"""Removes what killed compilers left half-written, so that make takes nothing torn for whole.

kbuild writes `.NAME.cmd` after NAME was made (scripts/Kbuild.include,
`if_changed`), and remakes what has none. A compiler that was killed while it
wrote NAME anew leaves a NAME younger than its `.NAME.cmd`; one that was killed
while that was written leaves one without its end.

Old versions write NAME once more after its `.NAME.cmd`: to record its calls for the
function tracer (4.8, scripts/Makefile.build, `rule_cc_o_c`). So a younger NAME is torn only
if the work ended soon after it; the minute also covers what a power cut lost, since
a file's content may reach the disk half a minute after its name (the kernel's
admin-guide/sysctl/vm, dirty_expire_centisecs).
"""

from collections.abc import Iterator
from pathlib import Path

DEPENDENCIES, AFTER_DEPENDENCIES = b"\ndeps_", b"\n$(deps_"
"""How fixdep begins the list of what the product depends on, and ends it (scripts/basic/fixdep.c)."""
UNCERTAIN_NANOSECONDS = 60 * 10**9


def remove_torn(build: Path) -> list[Path]:
    """Remove every torn file below a build folder; the paths that are gone. Raises OSError."""
    gone = remove_torn_records(build)
    newest, younger = 0, {}
    for record in _records(build):
        product = _product_of(record)
        written, made = _time(record), _time(product) if product.is_file() else 0
        newest = max(newest, written, made)
        if made > written:
            younger[product] = made
    torn = [product for product, made in younger.items() if made >= newest - UNCERTAIN_NANOSECONDS]
    for product in torn:
        product.unlink()
    return gone + torn


def remove_torn_records(build: Path) -> list[Path]:
    """Remove every record without its end, which make cannot read; what is gone. Raises OSError."""
    torn = [record for record in _records(build) if _is_torn(record)]
    for record in torn:
        record.unlink()
    return torn


def _records(build: Path) -> Iterator[Path]:
    return build.rglob(".*.cmd")


def _product_of(record: Path) -> Path:
    return record.with_name(record.name.removeprefix(".").removesuffix(".cmd"))


def _time(path: Path) -> int:
    return path.lstat().st_mtime_ns


def _is_torn(record: Path) -> bool:
    content = record.read_bytes()
    return not content.endswith(b"\n") or (DEPENDENCIES in content and AFTER_DEPENDENCIES not in content)
