"""The kernels that the battery's virtual machines start: one that runs them, and one that panics in them.

Built once, of the distribution's source with `machine-kernel.config`, and kept beside it in a
folder that is always safe to delete.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.build.kernels import why_no_miniature
from tests.machine.scratch import locked
from tests.sources import CannotBeHad, SourceTarball, kept_folder, source_tarball, unpacked

CONFIGURATION = Path(__file__).with_name("machine-kernel.config")
LOCAL_VERSION = "-kvmwizard"
BUILD_SECONDS = 3600
JOBS = 3
PANIC = """
/* A driver that is broken on the machine itself: GRUB names the image it starts, QEMU's -kernel does not. */
static int __init break_down(void)
{
	if (strstr(saved_command_line, "BOOT_IMAGE="))
		panic("the machine's own driver is broken");
	return 0;
}
late_initcall(break_down);
"""
"""Appended to init/main.c, which has the command line."""


@dataclass(frozen=True)
class MachineKernels:
    """Where they are kept."""

    version: str
    folder: Path

    @property
    def release(self) -> str:
        """What `uname -r` says in both."""
        return f"{self.version}{LOCAL_VERSION}"

    @property
    def good(self) -> Path:
        """The image of the one that runs."""
        return self.folder / "bzImage"

    @property
    def panicking(self) -> Path:
        """The image of the one that boots as a guest of QEMU's, and panics where GRUB starts it."""
        return self.folder / "bzImage.panicking"


def machine_kernels() -> MachineKernels:
    """Both kernels, with configuration, System.map and modules (below `modules`). Raises CannotBeHad."""
    missing = why_no_miniature() or _missing_tools()
    if missing:
        raise CannotBeHad(missing)
    source = source_tarball("linux")
    recipe = (CONFIGURATION.read_bytes(), PANIC.encode(), source.path.name.encode())
    digest = hashlib.sha256(b"\0".join(recipe)).hexdigest()[:16]
    keep = kept_folder()
    kept = MachineKernels(source.version, keep / f"machine-kernels-{digest}")
    with locked(keep / "machine-kernels.lock"):
        if not kept.folder.is_dir():
            for older in keep.glob("machine-kernels-*[!k]"):
                shutil.rmtree(older)
            with tempfile.TemporaryDirectory(dir=keep) as work:
                _build(source, Path(work))
                Path(work, "products").rename(kept.folder)
    return kept


def _missing_tools() -> str | None:
    missing = [name for name in ("flex", "bison", "bc", "depmod", "strip") if shutil.which(name) is None]
    return f"these programs are not here: {', '.join(missing)}" if missing else None


def _build(source: SourceTarball, work: Path) -> None:
    tree, build, products = unpacked(source, work), work / "build", work / "products"
    build.mkdir()
    products.mkdir()

    def make(*words: str) -> None:
        _run(["make", "-s", f"-j{JOBS}", f"O={build}", "KBUILD_BUILD_USER=kvmwizard", *words], tree)

    make(f"KCONFIG_ALLCONFIG={CONFIGURATION}", "allnoconfig")
    make("bzImage", "modules")
    make(f"INSTALL_MOD_PATH={products / 'modules'}", "INSTALL_MOD_STRIP=1", "modules_install")
    # Links to where it was built, which is gone in a moment.
    for link in products.glob("modules/lib/modules/*/*"):
        if link.is_symlink():
            link.unlink()
    for name in ("arch/x86/boot/bzImage", "System.map", ".config"):
        shutil.copy(build / name, products / Path(name).name)
    with (tree / "init/main.c").open("a", encoding="ascii") as file:
        file.write(PANIC)
    make("bzImage")
    shutil.copy(build / "arch/x86/boot/bzImage", products / "bzImage.panicking")


def _run(argv: Sequence[str], directory: Path) -> None:
    ended = subprocess.run(
        argv, cwd=directory, check=False, capture_output=True, text=True, timeout=BUILD_SECONDS
    )
    if ended.returncode != 0:
        raise CannotBeHad(f"the kernel could not be built: {ended.stderr[-2000:]}")
