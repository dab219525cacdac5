"""The library of `faults.c`: compiled, and told at which call to strike."""

import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SOURCE = Path(__file__).with_name("faults.c")
KINDS = ("count", "kill", "tear", "EIO", "ENOSPC")
"""As in `faults.c`, in its order."""
CONTROL = struct.Struct("=iiqqq2048s")
COUNTED = struct.Struct("=iiqqq")


@dataclass(frozen=True)
class Fault:
    """What befalls the call of that number; with `sticky` every later one, too."""

    kind: str = "count"
    at: int = 0
    sticky: bool = False

    def __str__(self) -> str:
        return f"{self.kind} at {self.at}{' and after' * self.sticky}"


@dataclass(frozen=True)
class Counted:
    """How many calls there were, and how many of them met the fault."""

    calls: int
    fired: int


NO_FAULT = Fault()
ENDINGS = (("kill", False), ("tear", False))
ERRORS = (("EIO", False), ("EIO", True), ("ENOSPC", False), ("ENOSPC", True))
ALL = (*ENDINGS, *ERRORS)


def why_no_faults() -> str | None:
    """Why the library cannot be made here, or None where it can."""
    return None if shutil.which("gcc") else "calls are counted by a library that gcc compiles; there is none"


def compile_library(folder: Path, source: Path = SOURCE) -> Path:
    """The library, in this folder."""
    library = folder / f"{source.stem}.so"
    argv = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(source), "-ldl"]
    subprocess.run(argv, check=True)
    library.chmod(0o755)
    return library


class Control:
    """The file that the library maps: which fault is wanted, and what was counted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, path: Path) -> Self:
        """Write one without a fault, for whoever may run with the library; once, since it is mapped."""
        path.write_bytes(bytes(CONTROL.size))
        path.chmod(0o666)
        return cls(path)

    def arm(self, fault: Fault, below: Sequence[str | Path]) -> None:
        """From now on count the calls that change anything below these folders, and let one fail."""
        folders = "".join(f"{folder}:" for folder in below).encode()
        said = CONTROL.pack(KINDS.index(fault.kind), fault.sticky, fault.at, 0, 0, folders)
        with self.path.open("r+b") as file:
            file.write(said)

    def disarm(self) -> Counted:
        """Nothing more is counted; what was until now."""
        counted = COUNTED.unpack(self.path.read_bytes()[: COUNTED.size])
        self.arm(NO_FAULT, ())
        return Counted(calls=counted[3], fired=counted[4])

    def environment(self, library: Path) -> dict[str, str]:
        """With which a process is struck."""
        return {"LD_PRELOAD": str(library), "FAULTS_CONTROL": str(self.path)}
