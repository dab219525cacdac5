"""What undo cannot take back is said by every step that has such a thing, before it is done."""

from typing import Any, get_args

import pytest

from kvmwizard.answers import DistributionKernel
from kvmwizard.host.modules import ModuleState
from kvmwizard.plan.json import plan_report
from kvmwizard.plan.lasting import LASTING
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Condition, Plan
from kvmwizard.plan.text import plan_as_text
from tests.facts_builder import make_facts, module_states, node
from tests.plan.answers import make_answers
from tests.plan.builds import build_answers


def kinds(union: Any) -> set[str]:
    """The kinds of an annotated union of models."""
    members, _ = get_args(union)
    return {each.model_fields["kind"].default for each in get_args(members)}


def test_every_kind_of_condition_says_what_undo_leaves_of_it() -> None:
    assert kinds(Condition) == set(LASTING)


def plans() -> tuple[Plan, ...]:
    facts = make_facts(
        kvm={"node": node(0o600, group=(0, "root"))},
        modules=module_states(tun=ModuleState.AVAILABLE),
        users={"kvm_group": None, "kvm_group_id": None},
        iommu={"parameters": (), "groups": 0},
    )
    kernel = DistributionKernel(
        package="linux-image-amd64", version="6.12.117-1", release="6.12.117+deb12-amd64"
    )
    return (
        make_plan(facts, make_answers(modules=("tun",), nested=False, iommu=True)),
        make_plan(make_facts(), make_answers(kernel=kernel)),
        make_plan(make_facts(), build_answers()),
    )


STAYS = {
    "packages.refresh": "package lists stay",
    "packages.install": "what other packages need stays installed",
    "build.packages": "brought up to date stay so",
    "kernel.download": "No undo deletes what is downloaded",
    "kernel.compile": "No undo deletes what is downloaded",
    "kernel.install": "A kernel that runs is not removed",
    "kernel.restart": "A restart cannot be taken back",
    "kernel.boot-once": "unless only root may read it or its title",
    "qemu.install": "An earlier build with the name",
    "modules.options": "keeps its options until the next restart",
    "modules.load": "in use stays loaded until the next restart",
    "boot.iommu": "until the restart after the undo",
    "access.group": "stays while anybody else is in it",
    "access.member": "keeps the group until it logs out",
    "access.device": "has /dev/kvm open keeps it",
    "access.now": "has /dev/kvm open keeps it",
}
GOES_BACK = {"modules.boot", "access.rule", "access.prove", "kernel.proof"}


def test_the_steps_say_it_in_the_plan_as_text_and_as_json() -> None:
    said: dict[str, str | None] = {}
    for plan in plans():
        text = " ".join(plan_as_text(plan, {}, 100).split())
        for step, reported in zip(plan.steps, plan_report(plan, {})["steps"], strict=True):
            words = None if step.lasting is None else step.lasting.english
            assert reported["lasting"] == words
            assert words is None or f"Undo: {words}" in text
            said[step.id] = words
    assert {step for step, words in said.items() if words is None} <= GOES_BACK
    assert {step: part for step, part in STAYS.items() if part not in (said.get(step) or "")} == {}


@pytest.mark.parametrize("plan", plans()[1:2])
def test_a_kernel_package_that_may_be_installed_already_says_so(plan: Plan) -> None:
    words = plan.step("kernel.install").lasting
    assert words is not None
    assert "Where linux-image-amd64 was installed before, its new version stays" in words.english
