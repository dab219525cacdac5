"""Kernel and QEMU from source overlap: the real scheduler, with the expected times, on a clock of its own."""

import pytest

from kvmwizard.answers import KernelBuildAnswer
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan
from kvmwizard.run.model import StepState, StepStatus
from kvmwizard.run.scheduler import startable
from tests.facts_builder import make_facts
from tests.plan.builds import build_answers


def simulated(plan: Plan) -> tuple[float, dict[str, float]]:
    """When all is done, and when each step starts."""
    states = {step.id: StepState() for step in plan.steps}
    now, starts, ends = 0.0, dict[str, float](), dict[str, float]()
    while True:
        for step in startable(plan, states):
            states[step.id] = states[step.id].model_copy(update={"status": StepStatus.RUNNING})
            starts[step.id], ends[step.id] = now, now + step.seconds
        running = [each for each, state in states.items() if state.status is StepStatus.RUNNING]
        if not running:
            break
        now = min(ends[each] for each in running)
        for each in running:
            if ends[each] <= now:
                states[each] = states[each].model_copy(update={"status": StepStatus.DONE})
    assert all(state.status is StepStatus.DONE for state in states.values())
    return now, starts


def plan_with(**build: object) -> Plan:
    answers = build_answers(kernel_build=KernelBuildAnswer.model_validate(build))
    return make_plan(make_facts(toolchain={"source_tools": ("gpgv", "xz")}), answers)


@pytest.mark.parametrize("base", ["defconfig", "localmodconfig", "running"])
def test_qemu_is_got_and_configured_while_the_kernel_compiles_or_before(base: str) -> None:
    plan = plan_with(base=base)
    seconds, starts = simulated(plan)
    one_after_another = sum(step.seconds for step in plan.steps)
    hidden = ("packages.refresh", "qemu.download", "qemu.unpack", "kernel.stage")
    assert seconds < one_after_another - sum(plan.step(each).seconds for each in hidden)
    ready = starts["kernel.compile"] + plan.step("kernel.compile").seconds
    assert starts["qemu.compile"] == ready


def test_the_longest_way_begins_first() -> None:
    _, starts = simulated(plan_with(base="defconfig"))
    assert starts["kernel.download"] == starts["packages.refresh"] == 0
    assert starts["kernel.compile"] < starts["qemu.compile"]
    # As soon as packages and source are there, nothing stands between.
    plan = plan_with(base="defconfig")
    packages = plan.step("packages.refresh").seconds + plan.step("build.packages").seconds
    source = plan.step("kernel.download").seconds + plan.step("kernel.unpack").seconds
    configured = max(packages, source) + plan.step("kernel.configure").seconds
    assert starts["kernel.compile"] == configured


def test_sixteen_processors_gain_most() -> None:
    facts = make_facts(
        processor={"processors": 16},
        memory={"available": 64 << 30},
        toolchain={"source_tools": ("gpgv", "xz")},
    )
    plan = make_plan(facts, build_answers())
    seconds, _ = simulated(plan)
    assert seconds < 0.85 * sum(step.seconds for step in plan.steps)
