"""How make is called on a kernel's source tree: with one environment for every step."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvmwizard.build.failures import build_failure
from kvmwizard.build.log import AttemptLog
from kvmwizard.catalog.images import KernelImage, image_of
from kvmwizard.job import Job
from kvmwizard.refusal import Refusal
from kvmwizard.words import say

BUILDER_NAME = "kvmwizard"
MAKEFILE_NUMBERS = ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION")
NO_PATH_FOR_MAKE = re.compile(r"[\s:#$%\\]")
"""What kbuild cannot have in a path: its top Makefile refuses white space and colons, make takes the rest."""


class KernelRefused(Refusal):
    """A kernel that cannot be configured, built or staged."""


@dataclass(frozen=True)
class KernelMake:
    """make for one source tree and one build folder."""

    job: Job
    tree: Path
    build: Path
    variables: Mapping[str, str]
    log: AttemptLog = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log", AttemptLog(self.job.log))

    @property
    def environment(self) -> dict[str, str]:
        """What makes two builds of the same equal (Documentation/kbuild/reproducible-builds.rst).

        An empty LOCALVERSION keeps a `+` off the release of a tree that git knows
        (scripts/setlocalversion).
        """
        seconds = int(self._makefile.stat().st_mtime)
        return {
            "KBUILD_BUILD_TIMESTAMP": time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(seconds)),
            "KBUILD_BUILD_USER": BUILDER_NAME,
            "KBUILD_BUILD_HOST": BUILDER_NAME,
            "KBUILD_BUILD_VERSION": "1",
            "SOURCE_DATE_EPOCH": str(seconds),
            "LOCALVERSION": "",
        }

    @property
    def version(self) -> str:
        """What the tree's Makefile says, as 6.12.0-rc3. Raises KernelRefused for another tree."""
        try:
            text = self._makefile.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        numbers = [
            found[1] if (found := re.search(rf"^{name}[ \t]*=[ \t]*(\S*)", text, re.MULTILINE)) else ""
            for name in MAKEFILE_NUMBERS
        ]
        if not numbers[0] or not numbers[1]:
            raise KernelRefused(
                say(
                    "{tree} is no kernel source: it has no Makefile with VERSION and PATCHLEVEL. Remove that "
                    "folder, then retry; it is unpacked anew.",
                    tree=str(self.tree),
                )
            )
        return ".".join(number for number in numbers[:3] if number) + numbers[3]

    @property
    def image(self) -> KernelImage:
        """What this machine boots. Raises KernelRefused where the wizard does not know it."""
        architecture = os.uname().machine
        image = image_of(architecture)
        if image is None:
            raise KernelRefused(
                say(
                    "The wizard does not build kernels for {architecture}. Choose the distribution's kernel.",
                    architecture=architecture,
                )
            )
        return image

    def arguments(self, *targets: str) -> list[str]:
        """The command line for these targets and options."""
        settings = [f"{name}={value}" for name, value in sorted(self.variables.items())]
        return ["make", f"O={self.build}", "--output-sync=none", *settings, *targets]

    def run(self, *targets: str, environment: Mapping[str, str] | None = None, jobs: int = 1) -> None:
        """Make the targets. Raises KernelRefused with why that failed, OSError."""
        argv = self.arguments(f"-j{jobs}", *targets)
        ended = self.job.run(argv, self.tree, {**self.environment, **(environment or {})})
        if ended.returncode != 0:
            raise KernelRefused(build_failure("linux", self.version, self.log.end(), jobs))

    def refuse_odd_paths(self) -> None:
        """Raises KernelRefused for a path that make would take apart."""
        for path in (self.tree, self.build):
            if NO_PATH_FOR_MAKE.search(str(path)):
                raise KernelRefused(
                    say(
                        "Kernels cannot be built in {path}: their Makefiles allow no white space and none of "
                        ": # $ % \\ in a path. Choose another folder to build in.",
                        path=str(path),
                    )
                )

    @property
    def _makefile(self) -> Path:
        return self.tree / "Makefile"


def config_values(path: Path) -> dict[str, str]:
    """The symbols of a .config that are set, without CONFIG_. Raises OSError."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE))
