"""How a plan goes across a restart: which kernel starts next, what is proved, what becomes the default."""

import os
import subprocess
from pathlib import Path

import pytest

from kvmwizard.answers import DistributionKernel, KernelBuildAnswer
from kvmwizard.host.facts import Facts
from kvmwizard.plan.build_model import KernelRuns, ProveGuests, SetDefaultBoot, SetNextBoot
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan, RunCommand, Step
from kvmwizard.plan.shell import plan_as_shell
from kvmwizard.words import say
from tests.facts_builder import NOT_SHOWN, make_facts
from tests.plan.answers import make_answers
from tests.plan.builds import build_answers

RELEASE, RUNNING = "6.12.104-kvmwizard", "6.1.0-49-amd64"
BEHIND = ["kernel.restart", "kernel.proof", "kernel.default"]
DISTRIBUTIONS = DistributionKernel(
    package="linux-image-amd64", version="6.12.117-1", release="6.12.117+deb12-amd64"
)


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


def notes(plan: Plan) -> str:
    return "\n".join(note.english for note in plan.notes)


def built(facts: Facts) -> Plan:
    return make_plan(facts, build_answers(kernel_build=KernelBuildAnswer(install="plain")))


def test_the_restart_comes_after_all_else_then_the_proof_and_only_then_the_default() -> None:
    plan = built(make_facts())
    assert ids(plan)[-3:] == BEHIND
    restart, proof, default = (plan.step(name) for name in BEHIND)
    assert set(restart.needs) == set(ids(plan)[:-3])
    assert (restart.conditions, restart.actions, restart.root) == ((KernelRuns(release=RELEASE),), (), False)
    assert proof.actions == (ProveGuests(release=RELEASE, user=plan.user, qemu=plan.qemu),)
    assert (set(proof.needs), proof.root) == ({"kernel.restart", "kernel.install"}, False)
    assert default.actions[-1] == SetDefaultBoot(release=RELEASE)
    assert (default.needs, default.root) == (("kernel.proof",), True)


def test_a_kernel_of_the_distribution_goes_the_same_way() -> None:
    plan = make_plan(make_facts(), make_answers(kernel=DISTRIBUTIONS))
    assert ids(plan)[-3:] == BEHIND
    once = plan.step("kernel.boot-once")
    assert once.needs == ("packages.install",)
    assert once.actions[-1] == SetNextBoot(release="6.12.117+deb12-amd64", otherwise=RUNNING)


def test_without_its_release_nobody_can_compare_so_the_plan_ends_before() -> None:
    kernel = DISTRIBUTIONS.model_copy(update={"release": None})
    plan = make_plan(make_facts(), make_answers(kernel=kernel))
    assert not {"kernel.boot-once", *BEHIND} & set(ids(plan))
    assert "runs after the next restart" in notes(plan)


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("lvm", "where its files are, on LVM"),
        ("raid", "where its files are, on RAID"),
        ("btrfs", "where its files are, on btrfs"),
        (NOT_SHOWN, "cannot be relied on here"),
    ],
)
def test_where_grub_cannot_write_no_start_of_one_kernel_is_promised(storage: object, said: str) -> None:
    plan = built(make_facts(distribution={"grub_storage": storage}))
    assert "kernel.boot-once" not in ids(plan)
    # What GRUB only reads can be written from here: the kernel that is known to run stays the default.
    assert plan.step("kernel.keep").actions[-1] == SetDefaultBoot(release=RUNNING)
    assert ids(plan)[-3:] == BEHIND
    assert said in notes(plan)
    assert "Pick Linux 6.12.104-kvmwizard in GRUB's menu" in notes(plan)


def test_on_open_firmware_grub_writes_nothing() -> None:
    plan = make_plan(make_facts(processor={"architecture": "ppc64le"}), make_answers(kernel=DISTRIBUTIONS))
    assert "kernel.keep" in ids(plan)


@pytest.mark.parametrize(
    "facts", [make_facts(distribution={"boot_loader": "zipl"}), make_facts(kernel={"installed_releases": ()})]
)
def test_where_the_boot_loader_chooses_what_runs_is_compared_and_proved(facts: Facts) -> None:
    plan = built(facts)
    assert not {"kernel.boot-once", "kernel.keep", "kernel.default"} & set(ids(plan))
    assert ids(plan)[-2:] == ["kernel.restart", "kernel.proof"]


def test_a_built_kernel_that_runs_is_proved_and_made_the_default_without_a_restart() -> None:
    running = {"release": RELEASE, "installed_releases": (RELEASE, RUNNING)}
    plan = built(make_facts(kernel=running))
    assert ids(plan)[-2:] == ["kernel.proof", "kernel.default"]
    assert not {"kernel.boot-once", "kernel.restart"} & set(ids(plan))
    assert "restart" not in notes(plan)


def test_once_it_is_the_default_only_what_stays_true_is_left_to_know() -> None:
    plan = built(make_facts())
    left = "\n".join(note.english for note in plan.notes if note not in plan.settled)
    assert "does not become it by itself" in left
    assert "next restart" not in left


# The script


def crossing(folder: Path, release: str) -> str:
    """A script of two files, one made before the restart, one behind it."""

    def step(name: str, *conditions: KernelRuns) -> Step:
        made = () if conditions else (RunCommand(argv=("/usr/bin/touch", str(folder / name))),)
        return Step(id=name, title=say("x"), root=True, seconds=1, conditions=conditions, actions=made)

    steps = (step("before"), step("restart", KernelRuns(release=release)), step("after"))
    return plan_as_shell(Plan(user="root", qemu=None, steps=steps))


@pytest.mark.parametrize(("release", "made"), [("9.9.9-absent", "before"), (os.uname().release, "after")])
def test_the_script_stops_for_the_restart_and_goes_on_behind_it(
    tmp_path: Path, release: str, made: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("the script runs as root alone")
    script = crossing(tmp_path, release)
    ran = subprocess.run(["/bin/sh"], input=script, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == [made]
    assert ("Restart the machine, then run this script again" in ran.stdout) is (made == "before")


def test_the_script_proves_guests_as_the_user_and_checks_the_kernel_before_it_is_the_default() -> None:
    script = plan_as_shell(built(make_facts()))
    proof, default = script.split("[kernel.proof]")[1].split("[kernel.default]")
    assert "runuser -u bob -- python3" in proof
    assert "-enable-kvm" in proof
    checked = f'[ "$(uname -r)" = {RELEASE} ]\ngrub-set-default "$menu$(entry {RELEASE})"'
    assert checked in default
    syntax = subprocess.run(["/bin/sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert syntax.stderr == ""
