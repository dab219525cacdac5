"""Kernel and QEMU from source overlap: the real scheduler, with the times that are expected."""

import pytest

from kvmwizard.answers import KernelBuildAnswer
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan
from kvmwizard.run.expected import expected_seconds, expected_spans
from tests.facts_builder import make_facts
from tests.plan.builds import build_answers


def plan_with(**build: object) -> Plan:
    answers = build_answers(kernel_build=KernelBuildAnswer.model_validate(build))
    return make_plan(make_facts(toolchain={"source_tools": ("gpgv", "xz")}), answers)


@pytest.mark.parametrize("base", ["defconfig", "localmodconfig", "running"])
def test_qemu_is_built_while_the_kernel_compiles(base: str) -> None:
    plan = plan_with(base=base)
    spans = expected_spans(plan)
    kernel_began, kernel_ended = spans["kernel.compile"]
    qemu_began, qemu_ended = spans["qemu.compile"]
    assert kernel_began <= qemu_began == spans["qemu.configure"][1]
    assert qemu_ended < kernel_ended
    # Side by side, each has half of the processors: nothing is won but what one alone leaves idle.
    compiling = plan.step("kernel.compile").seconds + plan.step("qemu.compile").seconds
    assert kernel_ended - kernel_began == pytest.approx(compiling)
    hidden = ("packages.refresh", "qemu.download", "qemu.unpack", "qemu.configure", "qemu.stage")
    longest = sum(step.seconds for step in plan.steps if step.id not in hidden)
    assert expected_seconds(plan) <= longest + 1


def test_short_of_memory_they_are_compiled_one_after_the_other() -> None:
    facts = make_facts(memory={"available": 5 << 30})
    plan = make_plan(facts, build_answers())
    spans = expected_spans(plan)
    assert spans["qemu.compile"][0] == spans["kernel.compile"][1]
    (told,) = (note.english for note in plan.notes if "one after the other" in note.english)
    assert told.endswith("5.0 GB of memory are free, and together they may take 7.0 GB.")


def test_the_longest_way_begins_first() -> None:
    plan = plan_with(base="defconfig")
    begins = {step_id: began for step_id, (began, _) in expected_spans(plan).items()}
    assert begins["kernel.download"] == begins["packages.refresh"] == 0
    assert begins["kernel.compile"] < begins["qemu.compile"]
    # As soon as packages and source are there, nothing stands between.
    packages = plan.step("packages.refresh").seconds + plan.step("build.packages").seconds
    source = plan.step("kernel.download").seconds + plan.step("kernel.unpack").seconds
    assert begins["kernel.compile"] == max(packages, source) + plan.step("kernel.configure").seconds


def test_sixteen_processors_gain_most() -> None:
    facts = make_facts(
        processor={"processors": 16},
        memory={"available": 64 << 30},
        toolchain={"source_tools": ("gpgv", "xz")},
    )
    plan = make_plan(facts, build_answers())
    assert expected_seconds(plan) < 0.85 * sum(step.seconds for step in plan.steps)
