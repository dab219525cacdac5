"""The adviser's verdicts against real builds, with the source and the compilers that Debian has."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.catalog.adviser import advise, tools_of
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host, command_environment
from kvmwizard.packages.distributions import release_of

pytestmark = pytest.mark.slow

SOURCES = "linux-source-*.tar.xz"
DECISIVE = ("init/main.o", "kernel/fork.o", "mm/slab_common.o", "arch/x86/kernel/setup.o")


def run(argv: Sequence[str | Path], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in argv],
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        env={**command_environment(), "HOME": str(directory)},
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution's kernel source, unpacked."""
    archive = max(Path("/usr/src").glob(SOURCES), default=None)
    if archive is None:
        pytest.skip("no linux-source package is installed")
    folder = tmp_path_factory.mktemp("source")
    done = run(["tar", "--extract", f"--file={archive}"], folder)
    assert done.returncode == 0, done.stderr
    (unpacked,) = folder.iterdir()
    return unpacked


def version_of(tree: Path) -> str:
    return run(["make", "-s", "kernelversion"], tree).stdout.strip()


def real_path(program: str) -> Path | None:
    found = shutil.which(program)
    return None if found is None else Path(found).resolve()


def compiler_path(name: str, folder: Path) -> str:
    """An installed compiler, or one whose packages are unpacked into a folder without installing them."""
    if (found := shutil.which(name)) is not None:
        return found
    series = name.removeprefix("gcc-")
    packages = (name, f"cpp-{series}", f"{name}-base", f"libgcc-{series}-dev")
    if run(["apt-get", "download", *packages], folder).returncode != 0:
        pytest.skip(f"apt cannot download {name}")
    for package in folder.glob("*.deb"):
        assert run(["dpkg-deb", "--extract", package, folder], folder).returncode == 0
    return str(folder / "usr" / "bin" / name)


def compiles(tree: Path, build: Path, compiler: str) -> tuple[bool, str]:
    """Whether the decisive objects of the smallest configuration come of it, and what was said."""
    build.mkdir()
    make = ["make", f"O={build}", f"CC={compiler}", "HOSTCC=gcc"]
    said = ""
    for goals in (["tinyconfig"], ["-j2", "prepare"], ["-j2", *DECISIVE]):
        done = run([*make, *goals], tree)
        said += done.stdout + done.stderr
        if done.returncode != 0:
            return False, said
    return all((build / name).is_file() for name in DECISIVE), said


def packaged_compilers() -> tuple[str, ...]:
    release = release_of(gather(Host()).distribution)
    return () if release is None else tuple(name for name in release.compilers if name.startswith("gcc-"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("compiler", ["gcc", *packaged_compilers()])
def test_the_distributions_kernel_with_its_compilers(compiler: str, tree: Path, tmp_path: Path) -> None:
    facts = gather(Host())
    if facts.processor.architecture != "x86_64":
        pytest.skip("the decisive objects are those of x86")
    if compiler != "gcc" and real_path(compiler) == real_path("gcc"):
        pytest.skip(f"{compiler} is gcc itself")
    verdict = advise("linux", version_of(tree), tools_of(facts, compiler))
    built, said = compiles(tree, tmp_path / "build", compiler_path(compiler, tmp_path))
    assert built is (verdict.outcome == "builds"), said[-2000:]
