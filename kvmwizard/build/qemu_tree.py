"""What there is to know of a QEMU's source tree and its build folder."""

import re
from pathlib import Path

from kvmwizard.catalog.qemu_flags import DISTRIBUTION_FIRMWARE, PROGRAM_PREFIX, TARGET_SUFFIX
from kvmwizard.refusal import Refusal
from kvmwizard.words import say

BUILDABLE_PATH = re.compile(r"/[A-Za-z0-9._/+@,-]*")
"""make takes other characters for its own, and QEMU's configure refuses spaces and colons."""

CONFIGURED = "kvmwizard-configured"
"""Written last by the configure step: what is younger in the build folder was built."""

PC_FIRMWARE = "bios-256k.bin"
"""What every guest of a PC needs; in QEMU's own tarballs and tags (pc-bios)."""


class BuildRefused(Refusal):
    """A QEMU cannot be built, or was not."""


def version_of(tree: Path) -> str:
    """What the tree says it is; `?` where it does not say."""
    try:
        return (tree / "VERSION").read_text(encoding="utf-8").strip() or "?"
    except (OSError, UnicodeDecodeError):
        return "?"


def refuse_odd_paths(*paths: Path) -> None:
    """Raise BuildRefused for a path in which make or configure would see something else."""
    for path in paths:
        if BUILDABLE_PATH.fullmatch(str(path)) is None:
            raise BuildRefused(
                say(
                    "QEMU cannot be built in {path}: its tools take nothing in a path but letters, digits "
                    "and ._+@,- as they are. Choose another folder to build in.",
                    path=str(path),
                )
            )


def lacks_firmware(tree: Path) -> bool:
    """Whether the tree came without firmware, as distributions repack it (Debian's +dfsg)."""
    return not (tree / "pc-bios" / PC_FIRMWARE).is_file()


def distribution_has_firmware() -> bool:
    """Whether the distribution's firmware for PCs is installed."""
    return any(Path(directory, PC_FIRMWARE).is_file() for directory in DISTRIBUTION_FIRMWARE)


def uses_ninja(build: Path) -> bool:
    """Whether it is built by ninja (from 5.2 on) and not by make."""
    return (build / "build.ninja").is_file()


def built_program(build: Path, program: str) -> Path:
    """Where the program is once it is built: make has a folder for each target."""
    if uses_ninja(build):
        return build / program
    return build / (program.removeprefix(PROGRAM_PREFIX) + TARGET_SUFFIX) / program
