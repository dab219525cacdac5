"""Which files installing a QEMU would put where, as the build that ninja carries out knows it.

meson writes the list when it configures (Meson's manual, "IDE integration",
intro-installed.json). What is on it is what is built: the tests and examples,
which are half of everything, are not on it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

INSTALLED = "meson-info/intro-installed.json"


@dataclass(frozen=True)
class InstalledFile:
    """One file, or a folder with all that is in it."""

    source: Path
    destination: Path


def installed_files(build: Path) -> tuple[InstalledFile, ...]:
    """All of them, sorted by where they go. Raises OSError, ValueError."""
    listed: dict[str, str] = json.loads((build / INSTALLED).read_text(encoding="utf-8"))
    files = (InstalledFile(Path(source), Path(destination)) for source, destination in listed.items())
    return tuple(sorted(files, key=lambda file: file.destination))


def built_files(build: Path) -> tuple[str, ...]:
    """Those that have to be built, as paths below the build folder. Raises OSError, ValueError."""
    sources = (file.source for file in installed_files(build))
    return tuple(sorted(str(source.relative_to(build)) for source in sources if source.is_relative_to(build)))
