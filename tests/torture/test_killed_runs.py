"""kill -9 of runner and root helper at any moment: the run ends in the same world as an undisturbed one."""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.build_model import ProductMade, StageKernel, TreeInstalled
from kvmwizard.plan.model import PackagesInstalled, Step
from kvmwizard.plan.software import run_command
from kvmwizard.run.launch import start_runner
from kvmwizard.run.model import RunStatus, StepStatus
from kvmwizard.run.runner import TRIES
from kvmwizard.run.store import RunStore
from kvmwizard.words import say
from tests.conftest import Counts, Tries
from tests.end_to_end.world import World, differences, world_of
from tests.machine.layers import Layer, prepared_layer
from tests.machine.machine import ThrowawayMachine
from tests.run.plans import files, plan_of, removing_step, starts
from tests.run.test_in_machine import GROUP, WRITE, Runs, member, step
from tests.run.trees import IDENTITY, KERNEL, KERNEL_NAME, RELEASE, Root, install_kernel, packed
from tests.torture.terminal import seconds_of_pressure

RESUME_SECONDS = 2.0
END_SECONDS = 120.0
STARTS = 8
"""More often than this nobody has to go on with a run that was disturbed once."""
BUILD = "/root/build"
PAYLOAD, STAMP = f"{BUILD}/payload", f"{BUILD}/payload.stamp"
MIRROR = """
set -e
mkdir -p /opt/mirror /tmp/package/DEBIAN /usr/lib/modules/6.1.0-another /etc/kernel/postinst.d
cd /opt/mirror
printf 'Package: tiny-package\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: tiny\\n' \
  > /tmp/package/DEBIAN/control
printf '#!/bin/sh\\nsleep 0.3\\n' > /tmp/package/DEBIAN/postinst
chmod 755 /tmp/package/DEBIAN/postinst
mkdir -p /tmp/package/etc/tiny
echo tiny > /tmp/package/etc/tiny/tiny.conf
dpkg-deb --build /tmp/package tiny_1.deb
dpkg-deb --field tiny_1.deb > Packages
printf 'Filename: ./tiny_1.deb\\nSize: %s\\nSHA256: %s\\n' \
  "$(stat --format %s tiny_1.deb)" "$(sha256sum < tiny_1.deb | cut -d ' ' -f 1)" >> Packages
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/opt/mirror ./' > /etc/apt/sources.list
apt-get update
"""
"""A package of our own, from a mirror that is a folder."""
MOMENTS_OF_A_KILL = 8
"""Of so many, somebody is there to be killed at one."""
RUNNER = "-m kvmwizard.run.runner_process"
HELPER = "-I -S -c import sys"
KILL = ("/usr/bin/pkill", "--signal", "KILL", "-f", "--")
VICTIMS = {
    "runner": (*KILL, RUNNER),
    "helper": (*KILL, HELPER),
    "both": (*KILL, f"{RUNNER}|{HELPER}"),
    "everything": ("/bin/sh", "-c", "kill -9 -1"),
}


def a_plan() -> tuple[Step, ...]:
    """A group, a member, a file, a package and a kernel with its modules."""
    wanted = PackagesInstalled(manager="apt", names=("tiny-package",))
    package = step("packages.install", wanted, *map(run_command, MANAGERS["apt"].install(("tiny-package",))))
    staging = StageKernel(
        identity=IDENTITY, stamp=STAMP, tree="/x", build="/x", release=RELEASE, stage="/x", payload=PAYLOAD
    )
    stage = Step(
        id="kernel.stage",
        title=say("a step"),
        root=False,
        seconds=1,
        conditions=(ProductMade(path=STAMP, identity=IDENTITY),),
        actions=(staging,),
    )
    action = install_kernel().model_copy(update={"payload": PAYLOAD})
    kernel = step("kernel.install", TreeInstalled(name=KERNEL_NAME, identity=IDENTITY), action)
    return (
        package.model_copy(update={"uses": ("packages",)}),
        GROUP,
        member("kvm").model_copy(update={"needs": ("access.group",)}),
        WRITE,
        stage,
        kernel.model_copy(update={"needs": ("kernel.stage",)}),
    )


@dataclass(frozen=True)
class After:
    """A machine after a run: what a run may change, the kernel's tree and its modules among it."""

    world: World
    trees: str
    unfinished_packages: str

    @classmethod
    def of(cls, machine: ThrowawayMachine) -> "After":
        return cls(world_of(machine), Root(machine).world(), machine.do(["/usr/bin/dpkg", "--audit"]))


@pytest.fixture(scope="module")
def prepared(program_base: Layer, tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """The program, a mirror of one package, and a kernel that is built and packed."""
    payload, digest = packed(tmp_path_factory.mktemp("kernel"), KERNEL)

    def prepare(machine: ThrowawayMachine) -> None:
        machine.do(["/bin/sh", "-c", MIRROR])
        machine.do(["/usr/bin/install", "-d", "-m", "0700", BUILD])
        machine.path(PAYLOAD).write_bytes(payload)
        stamp = {"identity": IDENTITY, "outputs": {PAYLOAD: len(payload)}, "about": {"digest": digest}}
        machine.path(STAMP).write_text(json.dumps(stamp), encoding="ascii")

    return prepared_layer("killed-runs", prepare, [Path(__file__).read_bytes(), payload], program_base)


@pytest.fixture(scope="module")
def undisturbed(prepared: Layer) -> Iterator[tuple[After, float]]:
    """How a machine is after a run that nobody disturbed, and how long that took."""
    with ThrowawayMachine.start(prepared.stack) as machine:
        runs = Runs(machine)
        run_id = runs.take(*a_plan())
        began = time.monotonic()
        state = runs.carry_out(run_id)
        assert state["status"] == "done", state
        yield After.of(machine), time.monotonic() - began


def go_on(runs: Runs, run_id: str) -> float:
    """Start the run again until it has ended; the seconds until the first of them was under way."""
    pressure, began = seconds_of_pressure(), time.monotonic()
    runs.ask("start", run_id)
    resumed = time.monotonic() - began - (seconds_of_pressure() - pressure)
    for _ in range(STARTS):
        if runs.end(run_id)["status"] in {"done", "failed"}:
            return resumed
        runs.ask("start", run_id)
    raise AssertionError(runs.events(run_id))


class DisturbedRun(NamedTuple):
    """A run of which something was to be killed."""

    after: After
    killed: bool
    """Whether there was somebody to kill just then."""
    resumed: float
    """How long going on with it took, in seconds."""


def a_disturbed_run(prepared: Layer, moment: float, victim: str) -> DisturbedRun:
    with ThrowawayMachine.start(prepared.stack) as machine:
        runs = Runs(machine)
        run_id = runs.take(*a_plan())
        first = machine.popen(runs.argv("start", run_id))
        time.sleep(moment)
        killing = machine.run(VICTIMS[victim])
        # 1: there was nobody; everything else means that nobody could be.
        assert killing.returncode in {0, 1}, killing.stderr
        first.communicate(timeout=END_SECONDS)
        resumed = go_on(runs, run_id)
        ended = [
            event["step"] for event in runs.events(run_id) if event["event"] in {"step-done", "step-skipped"}
        ]
        assert sorted(ended) == sorted(each.id for each in a_plan()), "each step ended well, once"
        return DisturbedRun(After.of(machine), killing.returncode == 0, resumed)


@pytest.mark.root
@pytest.mark.slow
def test_runner_and_helper_killed_at_any_moment(
    prepared: Layer, undisturbed: tuple[After, float], tries: Tries, counts: Counts, seed: int
) -> None:
    kills = tries(short=2, full=100)
    wanted, seconds = undisturbed
    chance = random.Random(seed)  # noqa: S311  -- the same in every run
    different, slowest, killed = 0, 0.0, Counter[str]()
    for number in itertools.count():
        if killed.total() >= kills:
            break
        assert number < MOMENTS_OF_A_KILL * kills, killed
        victim = list(VICTIMS)[number % len(VICTIMS)]
        after, was_killed, resumed = a_disturbed_run(prepared, chance.uniform(0, seconds), victim)
        same = (after.trees, after.unfinished_packages) == (wanted.trees, "")
        different += not same or differences(wanted.world, after.world) != set()
        slowest = max(slowest, resumed)
        killed[victim] += was_killed
    counts(
        "kill -9 of runner and helper",
        moments=number,
        somebody_was_killed_at=killed.total(),
        **{f"of_them_{victim}": times for victim, times in killed.items()},
        worlds_that_differ=different,
        slowest_resume_in_seconds=round(slowest, 2),
    )
    assert different == 0
    assert slowest <= RESUME_SECONDS


def end_of(store: RunStore, run_id: str) -> RunStatus:
    """Start the run, and wait until its runner is gone."""
    start_runner(store, run_id)
    deadline = time.monotonic() + END_SECONDS
    while (status := store.read(run_id).status) is RunStatus.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return status


@pytest.mark.slow
def test_a_step_that_kills_its_runner_stops_after_five_tries(tmp_path: Path, counts: Counts) -> None:
    killer, other = files(tmp_path, "killer", "other")
    store = RunStore(tmp_path / "state")
    deadly = removing_step(killer, script="kill -9 $PPID; exit 1", needs=("other",))
    run_id = store.create(plan_of(deadly, removing_step(other)))
    ends = [end_of(store, run_id) for _ in range(TRIES + 2)]
    assert ends[:TRIES] == [RunStatus.INTERRUPTED] * TRIES
    assert ends[TRIES:] == [RunStatus.FAILED] * 2
    state = store.read(run_id)
    assert state.steps["killer"].status is StepStatus.FAILED
    assert state.steps["killer"].words is not None
    assert (starts(killer), starts(other)) == (TRIES, 1)
    counts("A step that kills its runner", begun=starts(killer), said=state.steps["killer"].words.english)
