"""Kernel trees for tests, and the actions on them: one in miniature, and the distribution's real source."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kvmwizard.plan.build_model import CompileKernel, ConfigureKernel, StageKernel
from tests.build.worker import IDENTITY

MINIATURE = Path(__file__).with_name("miniature")
LOCAL_VERSION = "-own"
KVM_SYMBOLS = {"VIRTUALIZATION": "y", "KVM": "m", "KVM_INTEL": "m"}


def why_no_miniature() -> str | None:
    """Why the miniature cannot be built here; None where it can."""
    missing = [name for name in ("make", "cc", "nm") if shutil.which(name) is None]
    return f"these programs are not here: {', '.join(missing)}" if missing else None


def distribution_source() -> Path | None:
    """The newest packaged kernel source, /usr/src/linux-source-X.Y.tar.xz; None where there is none."""
    found = sorted(Path("/usr/src").glob("linux-source-*.tar.xz"))
    return found[-1] if found else None


@dataclass(frozen=True)
class KernelFolder:
    """A kernel's folder as the plan lays it out: the tree, what is built, what is staged, and the stamps."""

    path: Path
    version: str

    @classmethod
    def miniature(cls, path: Path) -> "KernelFolder":
        """A new folder with the tree in miniature."""
        path.mkdir(parents=True, exist_ok=True)
        shutil.copytree(MINIATURE, path / "source")
        return cls(path, "6.1.7")

    @classmethod
    def of_distribution(cls, path: Path, tarball: Path) -> "KernelFolder":
        """A new folder with the distribution's source, unpacked."""
        source = path / "source"
        source.mkdir(parents=True)
        subprocess.run(
            ["/usr/bin/tar", "-xf", str(tarball), "--strip-components=1", "-C", str(source)], check=True
        )
        return cls.unpacked(path)

    @classmethod
    def unpacked(cls, path: Path) -> "KernelFolder":
        """The folder of a tree that is there."""
        source = path / "source"
        numbers = dict(
            line.replace(" ", "").split("=", 1)
            for line in (source / "Makefile").read_text().splitlines()[:6]
            if "=" in line
        )
        return cls(path, f"{numbers['VERSION']}.{numbers['PATCHLEVEL']}.{numbers['SUBLEVEL']}")

    @property
    def release(self) -> str:
        return f"{self.version}{LOCAL_VERSION}"

    @property
    def image(self) -> Path:
        return self.path / "build/arch/x86/boot/bzImage"

    def configure(
        self,
        base: Literal["running", "defconfig", "localmodconfig", "file"] = "defconfig",
        base_file: Path | None = None,
        symbols: dict[str, str] | None = None,
        identity: str = IDENTITY,
    ) -> ConfigureKernel:
        return ConfigureKernel(
            identity=identity,
            stamp=str(self.path / "configuration.stamp"),
            tree=str(self.path / "source"),
            build=str(self.path / "build"),
            base=base,
            base_file=None if base_file is None else str(base_file),
            symbols=KVM_SYMBOLS if symbols is None else symbols,
            local_version=LOCAL_VERSION,
        )

    def compile(self, jobs: int = 2, release: str | None = None, **variables: str) -> CompileKernel:
        return CompileKernel(
            identity=IDENTITY,
            stamp=str(self.path / "image.stamp"),
            tree=str(self.path / "source"),
            build=str(self.path / "build"),
            release=release or self.release,
            jobs=jobs,
            make_variables=variables,
            totals=str(self.path / "totals"),
        )

    def stage(self, **variables: str) -> StageKernel:
        return StageKernel(
            identity=IDENTITY,
            stamp=str(self.path / "payload.stamp"),
            tree=str(self.path / "source"),
            build=str(self.path / "build"),
            release=self.release,
            stage=str(self.path / "stage"),
            payload=str(self.path / "payload"),
            make_variables=variables,
        )
