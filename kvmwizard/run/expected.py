"""How long a plan may take: its steps' expected times, side by side where they run side by side. Pure."""

from collections.abc import Collection

from kvmwizard.plan.model import Plan
from kvmwizard.run.model import StepState, StepStatus
from kvmwizard.run.scheduler import startable


def expected_seconds(plan: Plan, finished: Collection[str] = ()) -> float:
    """The time from the start to the end of the last step, started in the scheduler's own order.

    Args:
        plan: what is to be done.
        finished: ids of the steps that need not be done.
    """
    states = {
        step.id: StepState(status=StepStatus.SKIPPED if step.id in finished else StepStatus.WAITING)
        for step in plan.steps
    }
    ends: dict[str, float] = {}
    now = 0.0
    while True:
        for step in startable(plan, states):
            ends[step.id] = now + step.seconds
            states[step.id] = StepState(status=StepStatus.RUNNING)
        if not ends:
            return now
        ended = min(ends, key=lambda step_id: ends[step_id])
        now = ends.pop(ended)
        states[ended] = StepState(status=StepStatus.DONE)
