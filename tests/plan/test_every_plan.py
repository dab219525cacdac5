"""Whatever is chosen: the plan is whole, a shell can read it, and its JSON is the same plan."""

import itertools
import random
import subprocess
from collections.abc import Iterator

import pytest

from kvmwizard.answers import (
    Answers,
    GitKernel,
    GitQemu,
    KeepKernel,
    KernelBuildAnswer,
    LocalQemu,
    LocalSourceKernel,
    LocalSourceQemu,
    QemuBuildAnswer,
    ReleaseKernel,
    ReleaseQemu,
)
from kvmwizard.host.facts import Facts
from kvmwizard.plan.build_model import BuilderAction
from kvmwizard.plan.json import plan_report
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan, canonical_json, plan_digest
from kvmwizard.plan.shell import plan_as_shell, shell_lines
from kvmwizard.plan.text import plan_as_text
from kvmwizard.run import root_helper
from tests.facts_builder import NOT_LIVE, make_facts
from tests.plan.answers import A_KERNEL
from tests.plan.builds import A_LINUX, A_QEMU, Kernel, Qemu, all_remedies, build_answers

HOSTILE = "/home/bob/a b'$(touch hacked)`id`;\"-x"
FACTS = {
    "healthy": make_facts(),
    "root": make_facts(users={"caller": "root"}),
    "sudo": make_facts(users={"caller": "root", "sudo_caller": "alice"}),
    "no configuration": make_facts(kernel={"configuration_source": None, "options": NOT_LIVE}),
    "no tools": make_facts(toolchain={"tools": {}}),
}
KERNELS: tuple[Kernel, ...] = (
    KeepKernel(),
    A_KERNEL,
    A_LINUX,
    ReleaseKernel(version="6.13-rc2", unverified="linux-6.13-rc2.tar.gz"),
    ReleaseKernel(version="4.8.5"),
    GitKernel(tag="v6.1.12"),
    GitKernel(tag="v4.8.15", unverified="v4.8.15"),
    LocalSourceKernel(path=HOSTILE, version="6.6"),
)
QEMUS: tuple[Qemu, ...] = (
    LocalQemu(path="/usr/bin/qemu-system-x86_64"),
    A_QEMU,
    ReleaseQemu(version="7.2.0"),
    GitQemu(tag="v2.7.0"),
    GitQemu(tag="v5.2.0", unverified="v5.2.0"),
    LocalSourceQemu(path=HOSTILE, version="9.0.0"),
)
KERNEL_BUILDS = (
    KernelBuildAnswer(),
    KernelBuildAnswer(base="defconfig", install="plain", local_version="", jobs=3),
    KernelBuildAnswer(base="running", debug_info=True, ccache=True, features=("kvm",)),
    KernelBuildAnswer(base="file", base_file=HOSTILE, local_version="-a.b+c"),
)
QEMU_BUILDS = (
    QemuBuildAnswer(),
    QemuBuildAnswer(
        targets=("aarch64-softmmu", "x86_64-softmmu"),
        kvm=False,
        slirp=False,
        docs=True,
        prefix="/usr/local",
        flags=("--enable-gtk", "--extra-cflags=-O2,-g"),
    ),
)
USERS = ("bob", "root")


def chosen(
    facts: Facts, kernel: Kernel, qemu: Qemu, builds: tuple[KernelBuildAnswer, QemuBuildAnswer]
) -> Answers:
    """Answers in which all that is needed was agreed to."""
    versions = [getattr(each, "version", None) or getattr(each, "tag", "v1.0")[1:] for each in (kernel, qemu)]
    agreed = (
        all_remedies("linux", versions[0], facts) if kernel.source not in {"keep", "distribution"} else (),
        all_remedies("qemu", versions[1], facts) if qemu.source not in {"local", "distribution"} else (),
    )
    return build_answers(
        kernel=kernel,
        kernel_build=builds[0].model_copy(update={"agreed": agreed[0]}),
        qemu=qemu,
        qemu_build=builds[1].model_copy(update={"agreed": agreed[1]}),
    )


def some_plans() -> Iterator[tuple[str, Plan]]:
    """Every kernel with every QEMU, the rest by lot, always the same."""
    lot = random.Random(3)  # noqa: S311  -- which cases are tried is no secret
    for kernel, qemu in itertools.product(KERNELS, QEMUS):
        name = lot.choice(list(FACTS))
        answers = chosen(FACTS[name], kernel, qemu, (lot.choice(KERNEL_BUILDS), lot.choice(QEMU_BUILDS)))
        access = answers.access
        assert access is not None
        user = access.model_copy(update={"user": lot.choice(USERS)})
        yield name, make_plan(FACTS[name], answers.model_copy(update={"access": user}))


@pytest.fixture(scope="module")
def plans() -> list[tuple[str, Plan]]:
    """As `some_plans`, made once."""
    return list(some_plans())


def test_the_json_is_the_same_plan(plans: list[tuple[str, Plan]]) -> None:
    for _, plan in plans:
        again = Plan.model_validate_json(canonical_json(plan))
        assert again == plan
        assert plan_digest(again) == plan_digest(plan)
    assert len({plan_digest(plan) for _, plan in plans}) == len(plans)


def test_every_action_has_its_shell_lines(plans: list[tuple[str, Plan]]) -> None:
    for _, plan in plans:
        report = plan_report(plan, {})
        for step, reported in zip(plan.steps, report["steps"], strict=True):
            assert all(shell_lines(action) for action in step.actions), step.id
            assert reported["shell"] == [line for action in step.actions for line in shell_lines(action)]


def test_a_shell_can_read_every_script(plans: list[tuple[str, Plan]]) -> None:
    for _, plan in plans:
        script = plan_as_shell(plan)
        read = subprocess.run(["/bin/sh", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, "")


def test_a_shell_can_read_what_it_hands_to_the_builder(plans: list[tuple[str, Plan]]) -> None:
    """Here-documents are nothing but text to the shell that reads the script."""
    for _, plan in plans:
        for step in (step for step in plan.steps if not step.root):
            lines = "\n".join(line for action in step.actions for line in shell_lines(action))
            read = subprocess.run(["/bin/sh", "-n"], input=lines, capture_output=True, text=True, check=False)
            assert (read.returncode, read.stderr) == (0, ""), step.id


def test_needs_come_first_and_ids_once(plans: list[tuple[str, Plan]]) -> None:
    for _, plan in plans:
        seen: set[str] = set()
        for step in plan.steps:
            assert set(step.needs) <= seen
            assert step.id not in seen
            seen.add(step.id)


AFTER_BUILDING = {"kernel.restart", "kernel.proof"}
"""The person's own."""


def test_a_step_of_the_builders_is_one_action_whose_stamp_says_whether_it_is_done(
    plans: list[tuple[str, Plan]],
) -> None:
    for _, plan in plans:
        for step in plan.steps:
            built = [action for action in step.actions if isinstance(action, BuilderAction)]
            assert bool(built) is not (step.root or step.id in AFTER_BUILDING)
            if built:
                (action,), (condition,) = step.actions, step.conditions
                assert isinstance(action, BuilderAction)
                assert (condition.path, condition.identity) == (action.stamp, action.identity)  # type: ignore[union-attr]  # product-made, as the next line says
                assert condition.kind == "product-made"


def test_who_builds_is_never_root(plans: list[tuple[str, Plan]]) -> None:
    for name, plan in plans:
        if plan.build_folder is None:
            assert plan.builder is None
        elif name == "sudo":
            assert plan.builder == "alice"
        elif name == "root":
            assert plan.builder == ("61183" if plan.user == "root" else plan.user)
        else:
            assert plan.builder is None


def test_root_takes_every_plan(plans: list[tuple[str, Plan]]) -> None:
    for _, plan in plans:
        root_helper.checked_steps(canonical_json(plan), plan_digest(plan))


@pytest.mark.parametrize("width", [60, 80])
def test_all_but_commands_fits_the_terminal(plans: list[tuple[str, Plan]], width: int) -> None:
    for _, plan in plans[:8]:
        commands = {line for step in plan.steps for action in step.actions for line in shell_lines(action)}
        for line in plan_as_text(plan, {}, width).splitlines():
            assert (
                len(line) <= width or line.strip() in {each.strip() for each in commands} or "Digest" in line
            )
