"""Which steps may start now; pure."""

from collections.abc import Mapping

from kvmwizard.plan.model import Plan, Resource, Step
from kvmwizard.run.model import StepState, StepStatus

FINISHED_WELL = frozenset({StepStatus.DONE, StepStatus.SKIPPED})
"""What needs such a step can begin."""
OVER = FINISHED_WELL | {StepStatus.LEFT_OUT}
"""Nobody waits for such a step."""
EXCLUSIVE: frozenset[Resource] = frozenset({"packages", "memory"})
"""What one step at a time may use."""


def startable(plan: Plan, states: Mapping[str, StepState]) -> tuple[Step, ...]:
    """The waiting steps that may start together now, in the plan's order.

    A step's needs must all be over well enough, see `is_satisfied`. Root does one
    thing at a time, and so do who hold the package manager's lock, and who need much memory.
    """
    running = [step for step in plan.steps if states[step.id].status is StepStatus.RUNNING]
    chosen: list[Step] = []
    for step in plan.steps:
        if states[step.id].status is not StepStatus.WAITING:
            continue
        if all(is_satisfied(plan, states, need) for need in step.needs) and not any(
            _collide(step, other) for other in (*running, *chosen)
        ):
            chosen.append(step)
    return tuple(chosen)


def is_satisfied(plan: Plan, states: Mapping[str, StepState], step_id: str) -> bool:
    """Whether what needs this step may go on: it is done or skipped, or failed and is not required."""
    status = states[step_id].status
    return status in FINISHED_WELL or (status is StepStatus.FAILED and not plan.step(step_id).required)


def ended_well(plan: Plan, states: Mapping[str, StepState]) -> bool:
    """Whether every step that the plan cannot do without is done or skipped, or somebody does without it."""
    return all(states[step.id].status in OVER for step in plan.steps if step.required)


def behind_restart(plan: Plan, states: Mapping[str, StepState]) -> frozenset[str]:
    """The restart that is waited for, and what cannot be done before it; empty where none is."""
    behind: set[str] = set()
    for step in plan.steps:
        waits = step.awaits_restart and states[step.id].status not in FINISHED_WELL
        if waits or behind.intersection(step.needs):
            behind.add(step.id)
    return frozenset(behind)


def root_steps_left(plan: Plan, states: Mapping[str, StepState]) -> bool:
    """Whether a step that root must do is still to be done, and no failure or restart stands before it."""
    blocked = set(behind_restart(plan, states))
    for step in plan.steps:
        if step.id in blocked or any(need in blocked for need in step.needs):
            blocked.add(step.id)
        elif states[step.id].status is StepStatus.FAILED:
            if step.required:
                blocked.add(step.id)
        elif step.root and states[step.id].status not in OVER:
            return True
    return False


def steps_behind(plan: Plan, step_id: str) -> tuple[Step, ...]:
    """What needs the step, itself or through others, in the plan's order."""
    found: dict[str, Step] = {}
    for step in plan.steps:  # in an order that respects their needs
        if any(need == step_id or need in found for need in step.needs):
            found[step.id] = step
    return tuple(found.values())


def _collide(step: Step, other: Step) -> bool:
    return (step.root and other.root) or bool(EXCLUSIVE & set(step.uses) & set(other.uses))
