"""Going on without a step that failed: when that may be decided, by whom, and what it means."""

import os
import pwd
from collections.abc import Mapping

from kvmwizard.host.users import named_callers
from kvmwizard.plan.model import Plan, Step
from kvmwizard.run.model import RunState, StepState, StepStatus
from kvmwizard.run.scheduler import steps_behind
from kvmwizard.words import Words, say

LEAVE_OUT = "--leave-out="
"""How the runner's argument begins that names the step."""
UNDER_WAY = say("The run is under way. A step can be skipped once the run has ended or stopped.")
KERNEL_STEP = "kernel.install"
"""The step that brings the kernel which the plan is about, of a package or from source."""


def why_not_left_out(plan: Plan, states: Mapping[str, StepState], step_id: str) -> Words | None:
    """Why nobody may decide to go on without the step; None where that may be decided."""
    if step_id not in states:
        return say(
            "The run has no step {step}. Its steps are: {steps}.", step=step_id, steps=", ".join(states)
        )
    status = states[step_id].status
    if status is StepStatus.LEFT_OUT:
        return say("The step {step} was skipped already.", step=step_id)
    if status is not StepStatus.FAILED:
        return say("Only a step that failed can be skipped, and {step} did not fail.", step=step_id)
    if plan.undoes is not None:
        return say(
            "No step of an undo can be skipped: what it takes back would stay, and the undo would count as "
            "done all the same. Mend what it failed for, then try it again."
        )
    if not plan.step(step_id).required:
        return say("The run went on without {step} by itself, so there is nothing to skip.", step=step_id)
    return None


def also_left_out(plan: Plan, states: Mapping[str, StepState], step_id: str) -> tuple[Step, ...]:
    """The steps that are not done either if the run goes on without this one."""
    return tuple(step for step in steps_behind(plan, step_id) if states[step.id].status is StepStatus.WAITING)


def decider() -> str:
    """Who decides: the login name of the person, also behind sudo or doas; a number without an account."""
    behind = named_callers()
    if os.geteuid() == 0 and behind:
        return behind[0]
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def steps_left_out(state: RunState) -> int:
    """How many steps the run does without because somebody decided so."""
    return sum(step.status is StepStatus.LEFT_OUT for step in state.steps.values())


def brought_kernel(state: RunState) -> str | None:
    """The release of the kernel that the run was for; None where it was for none, or goes without it."""
    step = state.steps.get(KERNEL_STEP)
    left_out = step is not None and step.status is StepStatus.LEFT_OUT
    return None if left_out else state.plan.kernel_release
