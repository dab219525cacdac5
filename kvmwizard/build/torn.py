"""Removes what killed compilers left half-written, so that make takes nothing torn for whole.

kbuild writes `.NAME.cmd` after NAME was made (scripts/Kbuild.include,
`if_changed`), and remakes what has none. A compiler that was killed while it
wrote NAME anew leaves a NAME younger than its `.NAME.cmd`; one that was killed
while that was written leaves one without its end.
"""

from pathlib import Path

DEPENDENCIES, AFTER_DEPENDENCIES = b"\ndeps_", b"\n$(deps_"
"""How fixdep begins the list of what the product depends on, and ends it (scripts/basic/fixdep.c)."""


def remove_torn(build: Path) -> list[Path]:
    """Remove every torn file below a build folder; the paths that are gone. Raises OSError."""
    gone = []
    for record in build.rglob(".*.cmd"):
        product = record.with_name(record.name.removeprefix(".").removesuffix(".cmd"))
        if _is_torn(record):
            record.unlink()
            gone.append(record)
        elif _is_younger(product, record):
            product.unlink()
            gone.append(product)
    return gone


def _is_younger(product: Path, record: Path) -> bool:
    try:
        return product.is_file() and product.lstat().st_mtime_ns > record.lstat().st_mtime_ns
    except FileNotFoundError:
        return False


def _is_torn(record: Path) -> bool:
    content = record.read_bytes()
    return not content.endswith(b"\n") or (DEPENDENCIES in content and AFTER_DEPENDENCIES not in content)
