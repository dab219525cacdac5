"""How long a plan may take: its steps' expected times, side by side where they run side by side. Pure."""

from collections.abc import Collection

from kvmwizard.plan.model import Plan
from kvmwizard.run.model import StepState, StepStatus
from kvmwizard.run.scheduler import startable


def expected_seconds(plan: Plan, finished: Collection[str] = ()) -> float:
    """The time from the start to the end of the last step.

    Args:
        plan: what is to be done.
        finished: ids of the steps that need not be done.
    """
    return max((end for _, end in expected_spans(plan, finished).values()), default=0.0)


def expected_spans(plan: Plan, finished: Collection[str] = ()) -> dict[str, tuple[float, float]]:
    """When each step begins and ends, in seconds from the start, begun in the scheduler's own order.

    Each step's expected time is what it takes with all processors to itself; steps
    that want them at the same time have equal shares.

    Args:
        plan: what is to be done.
        finished: ids of the steps that need not be done.
    """
    states = {
        step.id: StepState(status=StepStatus.SKIPPED if step.id in finished else StepStatus.WAITING)
        for step in plan.steps
    }
    wants_processors = {step.id for step in plan.steps if "processor" in step.uses}
    begun: dict[str, float] = {}
    left: dict[str, float] = {}
    spans: dict[str, tuple[float, float]] = {}
    now = 0.0
    while True:
        for step in startable(plan, states):
            begun[step.id], left[step.id] = now, step.seconds
            states[step.id] = StepState(status=StepStatus.RUNNING)
        if not left:
            return spans
        sharing = len(wants_processors & left.keys())
        slowness = {step_id: sharing if step_id in wants_processors else 1 for step_id in left}
        ended = min(left, key=lambda step_id: left[step_id] * slowness[step_id])
        passed = left.pop(ended) * slowness[ended]
        now += passed
        for step_id in left:
            left[step_id] -= passed / slowness[step_id]
        spans[ended] = begun[ended], now
        states[ended] = StepState(status=StepStatus.DONE)
