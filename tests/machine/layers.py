"""Prepared layers: what every machine would otherwise do again is done once and kept."""

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.machine.machine import MachineError, ThrowawayMachine, why_no_machine
from tests.machine.scratch import locked, scratch_folder

ALICE_PASSWORD = "wonder land 7"  # noqa: S105  -- of an account that exists in throwaway machines alone
BOB_PASSWORD = "builder 8"  # noqa: S105  -- of an account that exists in throwaway machines alone
TOOLS = ("sudo", "tmux", "acl", "python3-venv", "python3-pip")
PACKAGES_AT_HAND = ("qemu-system-x86", "qemu-utils")
APT_SECONDS = 900


def prepared_layer(
    name: str, recipe: Callable[[ThrowawayMachine], None], key: str, below: Sequence[Path] = ()
) -> Path:
    """The layer that `recipe` makes on the layers `below`, made once for each key; older ones are deleted.

    Several test processes at once wait for the first one's.

    Raises:
        MachineError: no machine can be made here.
    """
    scratch = scratch_folder()
    if scratch is None:
        raise MachineError(why_no_machine())
    layer = scratch / f"{name}-{key}"
    with locked(scratch / f"{name}.lock"):
        if not layer.is_dir():
            for older in scratch.glob(f"{name}-*"):
                shutil.rmtree(older)
            with ThrowawayMachine.start(below) as machine:
                recipe(machine)
                machine.stop()
                (machine.folder.path / "upper").rename(layer)
    return layer


def base_layer() -> Path:
    """What every machine stands on: users, tools, fresh package lists, no QEMU, its packages at hand."""
    return prepared_layer("base", _make_base, _base_key())


def _base_key() -> str:
    """Changes with the recipe, the live machine's packages and sources, and the day: lists grow old."""
    parts = [Path(__file__).read_bytes(), str(dt.datetime.now(dt.UTC).date()).encode()]
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    parts += [file.read_bytes() for file in (Path("/var/lib/dpkg/status"), *sources) if file.is_file()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _make_base(machine: ThrowawayMachine) -> None:
    """The recipe of the base layer."""

    def apt(*words: str) -> None:
        machine.do(
            ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3", *words],
            env={"DEBIAN_FRONTEND": "noninteractive"},
            timeout=APT_SECONDS,
        )

    # A container image's apt throws the downloaded packages away; an ordinary Debian keeps them.
    machine.do(["rm", "-f", "/etc/apt/apt.conf.d/docker-clean"])
    machine.do(["rm", "-f", "/.dockerenv"])
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
