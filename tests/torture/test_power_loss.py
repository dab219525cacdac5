"""The power goes while kvmwizard works: what it said was done is there, and the run ends as ever.

The guest's disk is `VolatileDisk`: at the cut QEMU is killed, so all that the guest's kernel had
not written is gone, and of what it wrote without flushing any part, sector by sector.
"""

import hashlib
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Counts, Tries
from tests.machine.layers import Layer
from tests.machine.machine import ThrowawayMachine
from tests.torture.machine_disk import disk_layer
from tests.torture.machine_kernels import MachineKernels
from tests.torture.power_agent import TARBALL
from tests.torture.power_guest import PoweredGuest, prepare
from tests.torture.virtual_machine import path_of
from tests.torture.volatile_disk import VolatileDisk

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

RUN_SECONDS = 300
LOOK_SECONDS = 300
TELLING_STEPS = 8
"""Of the agent's plan."""
TREE_FILES = 40


@dataclass(frozen=True)
class Laboratory:
    """A machine in which the guest is kept as it waits, and what it comes to undisturbed."""

    machine: ThrowawayMachine
    empty: bytes
    world: dict[str, Any]

    def disk(self, content: bytes) -> VolatileDisk:
        """A disk with this content, where the guest looks for it."""
        address = path_of(self.machine, "disk")
        address.unlink(missing_ok=True)
        return VolatileDisk(content, address)


@pytest.fixture(scope="module")
def laboratory(
    program_base: Layer, kernels: MachineKernels, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    given = tmp_path_factory.mktemp("given")
    make_given(given)
    # Both stand on the same base.
    stack = (*disk_layer().stack[:-1], *program_base.stack)
    with ThrowawayMachine.start(stack) as machine:
        empty = prepare(machine, kernels, given)
        path_of(machine, "disk").unlink(missing_ok=True)
        started = Laboratory(machine, empty, {})
        with PoweredGuest(machine, started.disk(empty), kept=True) as guest:
            guest.tell(do="work")
            ended = guest.hear("ended", RUN_SECONDS)
            assert ended["ended"] == "done", ended
            content = whole(guest)
        found = look(started, content, go_on=True)
        assert found["not_so"] == []
        yield Laboratory(machine, empty, found["world"])


def whole(guest: PoweredGuest) -> bytes:
    """What is on the disk after a cut that loses nothing of what its cache holds."""
    guest.kill()
    guest.disk.cut(AllKept())
    return bytes(guest.disk.durable)


class AllKept(random.Random):
    """Chance at its kindest."""

    def random(self) -> float:
        return 0.0

    def choice(self, seq: Any) -> Any:
        return seq[-1]


def make_given(folder: Path) -> None:
    """A little source as a tarball, its SHA-256, and a kernel of the boot menu's."""
    tree = folder / "linux-6.1.7"
    (tree / "kernel").mkdir(parents=True)
    (tree / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\n")
    for name in ("Kbuild", "Kconfig", "MAINTAINERS"):
        (tree / name).write_text(f"# {name}\n")
    for number in range(TREE_FILES):
        (tree / f"kernel/{number}.c").write_text(f"int number{number};\n" * (number * 20 + 1))
    argv = ["tar", "-C", str(folder), "-cJf", str(folder / TARBALL), "--owner=0", "--group=0", tree.name]
    subprocess.run(argv, check=True)
    (folder / "sha256").write_text(hashlib.sha256((folder / TARBALL).read_bytes()).hexdigest())


def told_until(guest: PoweredGuest, steps: int, seconds: float) -> list[dict[str, Any]]:
    """What the guest tells until it began with so many steps (or ended), and that much longer."""
    guest.tell(do="work")
    told: list[dict[str, Any]] = []
    deadline = time.monotonic() + RUN_SECONDS
    while sum("after" in line or "ended" in line for line in told) < steps:
        assert time.monotonic() < deadline, told[-3:]
        told += guest.listen(1.0)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        told += guest.listen(left)
    return told


def look(laboratory: Laboratory, content: bytes, *, go_on: bool) -> dict[str, Any]:
    """What a guest finds on such a disk, and comes to where it goes on."""
    with PoweredGuest(laboratory.machine, laboratory.disk(content), kept=True) as guest:
        guest.tell(do="look", go_on=go_on)
        return guest.hear("runs", LOOK_SECONDS)


def lost_of(told: list[dict[str, Any]], found: dict[str, Any]) -> list[str]:
    """What was acknowledged before the cut and is not there after it."""
    lost = []
    saved = max((line["saved"] for line in told if "saved" in line), default=0)
    kept = int((found["session"] or "user0").removeprefix("user"))
    if kept < saved or found["notice"]:
        lost.append(f"session {saved} was saved, {kept} is there: {found['notice']}")
    created = [line["created"] for line in told if "created" in line]
    if any(run not in found["runs"] for run in created):
        lost.append(f"run {created} was made, {found['runs']} are there")
    journaled = {line["after"] for line in told if line.get("after")}
    if any("ended" in line for line in told) and found.get("status") != "done":
        lost.append(f"the run ended, and is {found.get('status')}")
    if missing := journaled - set(found.get("done", [])):
        lost.append(f"journaled as done, and not in the journal: {sorted(missing)}")
    if not_so := found.get("not_so"):
        lost.append(f"done says the journal, and it is not so: {not_so}")
    return lost


def test_nothing_acknowledged_is_lost_when_the_power_goes(
    laboratory: Laboratory, tries: Tries, seed: int, counts: Counts
) -> None:
    chance = random.Random(seed)  # noqa: S311  -- the same cuts every time
    acknowledged = kept_sectors = lost_sectors = ended = 0
    losses: list[str] = []
    for number in range(tries(short=3, full=100)):
        # Just after something was acknowledged is when most is at stake; a while later is as real.
        steps, seconds = chance.randint(0, TELLING_STEPS + 1), chance.choice((0.0, chance.uniform(0.0, 3.0)))
        with PoweredGuest(laboratory.machine, laboratory.disk(laboratory.empty), kept=True) as guest:
            told = told_until(guest, steps, seconds)
            told += guest.kill()
            kept, lost = guest.disk.cut(chance)
            content = bytes(guest.disk.durable)
        found = look(laboratory, content, go_on=True)
        losses += [
            f"cut {number} at step {steps} and {seconds:.1f} s: {each}" for each in lost_of(told, found)
        ]
        if found["runs"]:
            assert found["finished"] == "done", found
            assert found["world"] == laboratory.world
            ended += 1
        acknowledged += len(told)
        kept_sectors, lost_sectors = kept_sectors + kept, lost_sectors + lost
    counts(
        "power loss",
        cuts=number + 1,
        acknowledged=acknowledged,
        lost=len(losses),
        runs_ended_as_undisturbed=ended,
        sectors_of_the_cache_lost=lost_sectors,
        kept=kept_sectors,
    )
    assert losses == []
    assert min(acknowledged, ended, lost_sectors + kept_sectors) > 0
