"""Prepared layers: what every machine would otherwise do again is done once and kept."""

import datetime as dt
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.machine.machine import MachineError, ThrowawayMachine, why_no_machine
from tests.machine.scratch import hold_if_free, locked, scratch_folder, use

CHECKOUT = Path(__file__).parents[2]
ALICE_PASSWORD = "wonder land 7"  # noqa: S105  -- of an account that exists in throwaway machines alone
BOB_PASSWORD = "builder 8"  # noqa: S105  -- of an account that exists in throwaway machines alone
TOOLS = ("sudo", "tmux", "acl", "make", "python3-venv", "python3-pip")
PACKAGES_AT_HAND = ("qemu-system-x86", "qemu-utils")
PROGRAM_FOLDER = "/opt/kvmwizard"
PROGRAM_PYTHON = f"{PROGRAM_FOLDER}/bin/python"
APT_SECONDS = 900


@dataclass(frozen=True)
class Layer:
    """What a recipe wrote, to start machines on."""

    directory: Path
    key: str
    below: "Layer | None"

    @property
    def stack(self) -> tuple[Path, ...]:
        """The directories of this layer and all below it, topmost first."""
        return (self.directory, *(self.below.stack if self.below else ()))


def prepared_layer(
    name: str, recipe: Callable[[ThrowawayMachine], None], contents: Sequence[bytes], below: Layer | None
) -> Layer:
    """The layer that `recipe` makes, made once for the same contents and kept for later sessions.

    Several test processes at once wait for the first one's. Layers that nobody uses any more are deleted.

    Raises:
        MachineError: no machine can be made here, or the recipe failed in it.
    """
    scratch = scratch_folder()
    if scratch is None:
        raise MachineError(why_no_machine())
    parts = (below.key.encode() if below else b"", Path(__file__).read_bytes(), *contents)
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    layer = Layer(scratch / f"layer-{name}-{key}", key, below)
    with locked(scratch / f"making-{name}.lock"):
        use(_lock_of(layer.directory))
        if not layer.directory.is_dir():
            _delete_unused(scratch, name)
            with ThrowawayMachine.start(below.stack if below else ()) as machine:
                recipe(machine)
                machine.stop()
                (machine.folder.path / "upper").rename(layer.directory)
    return layer


def _lock_of(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.lock")


def _delete_unused(scratch: Path, name: str) -> None:
    """Delete the layers of this name that no living test process uses."""
    for older in scratch.glob(f"layer-{name}-*[!k]"):
        descriptor = hold_if_free(_lock_of(older))
        if descriptor is not None:
            shutil.rmtree(older)
            _lock_of(older).unlink()
            os.close(descriptor)


def base_layer() -> Layer:
    """What every machine stands on: users, tools, fresh package lists, no QEMU, its packages at hand.

    Made again when the live machine's packages or sources change, and every day, as lists grow old.
    """
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    files = [file for file in (Path("/var/lib/dpkg/status"), *sources) if file.is_file()]
    today = str(dt.datetime.now(dt.UTC).date()).encode()
    return prepared_layer("base", _make_base, [today, *(file.read_bytes() for file in files)], None)


def _make_base(machine: ThrowawayMachine) -> None:
    """The recipe of the base layer."""

    def apt(*words: str) -> None:
        machine.do(
            ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3", *words],
            env={"DEBIAN_FRONTEND": "noninteractive"},
            timeout=APT_SECONDS,
        )

    # A container image's apt throws the downloaded packages away; an ordinary Debian keeps them.
    # Nobody has refreshed the package lists in this machine, whatever was done on the one it stands on.
    stamp = "/var/lib/apt/periodic/update-success-stamp"
    machine.do(["rm", "-f", "/etc/apt/apt.conf.d/docker-clean", "/.dockerenv", stamp])
    apt("update")
    installed = machine.do(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"])
    qemu = [line.split()[1] for line in installed.splitlines() if line.startswith("installed qemu-")]
    if qemu:
        apt("purge", *qemu)
    apt("install", "--no-install-recommends", *TOOLS)
    apt("install", "--no-install-recommends", "--download-only", *PACKAGES_AT_HAND)
    for user, password in (("alice", ALICE_PASSWORD), ("bob", BOB_PASSWORD)):
        machine.do(["useradd", "--create-home", "--shell", "/bin/bash", user])
        machine.do(["chpasswd"], input=f"{user}:{password}\n")
    machine.do(["usermod", "--append", "--groups", "sudo", "alice"])


def program_layer() -> Layer:
    """The base with kvmwizard's wheel, built from this checkout, in a virtual environment for everybody."""
    return prepared_layer("program", _install_wheel, _program_sources(), _dependencies_layer())


def _dependencies_layer() -> Layer:
    requirements = CHECKOUT / "requirements.txt"

    def install(machine: ThrowawayMachine) -> None:
        machine.do(["/usr/bin/python3", "-m", "venv", PROGRAM_FOLDER])
        machine.path(f"{PROGRAM_FOLDER}/requirements.txt").write_bytes(requirements.read_bytes())
        settings = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT_"))
        }
        pip = [PROGRAM_PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement"]
        machine.do([*pip, f"{PROGRAM_FOLDER}/requirements.txt"], env=settings, timeout=APT_SECONDS)

    return prepared_layer("dependencies", install, [requirements.read_bytes()], base_layer())


def _program_sources() -> list[bytes]:
    """All that the wheel is made of, names and contents."""
    files = [CHECKOUT / "pyproject.toml"]
    for folder in ("kvmwizard", "screens", "assets"):
        files += (file for file in sorted((CHECKOUT / folder).rglob("*")) if file.is_file())
    return [
        part
        for file in files
        if "__pycache__" not in file.parts
        for part in (str(file.relative_to(CHECKOUT)).encode(), file.read_bytes())
    ]


def _install_wheel(machine: ThrowawayMachine) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
            cwd=CHECKOUT,
            check=True,
            capture_output=True,
        )
        (wheel,) = Path(folder).glob("*.whl")
        machine.path(f"/tmp/{wheel.name}").write_bytes(wheel.read_bytes())
    machine.do(
        [PROGRAM_PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", f"/tmp/{wheel.name}"]
    )
