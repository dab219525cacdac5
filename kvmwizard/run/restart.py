"""How a run that waited for a restart stands after it, and what is said where another kernel runs."""

from kvmwizard.host.kernel import running_release
from kvmwizard.plan.build_model import KernelRuns, SetNextBoot
from kvmwizard.plan.model import Plan, Step
from kvmwizard.plan.observed import ObservedKernel
from kvmwizard.run.model import RunState, RunStatus, StepStatus
from kvmwizard.words import Words, say


def wanted_release(step: Step) -> str:
    """The kernel that a step awaits the restart for."""
    return next(condition.release for condition in step.conditions if isinstance(condition, KernelRuns))


def restart_of(plan: Plan) -> Step | None:
    """The step that waits for a restart; None where none does."""
    return next((step for step in plan.steps if step.awaits_restart), None)


def kernel_is_installed(state: RunState) -> bool:
    """Whether the run came as far as a restart, or to its end."""
    step = restart_of(state.plan)
    if step is None:
        return state.status is RunStatus.DONE
    reached = {RunStatus.DONE, RunStatus.NEEDS_RESTART, RunStatus.RESTARTED}
    return state.status in reached or state.steps[step.id].status is not StepStatus.WAITING


def restart_failure(state: RunState) -> Words | None:
    """What is said where the machine was restarted and another kernel runs; else None."""
    step = restart_of(state.plan)
    if step is None:
        return None
    running, wanted = running_release(), wanted_release(step)
    failed = state.steps[step.id].status is StepStatus.FAILED
    if running == wanted or not (failed or state.status is RunStatus.RESTARTED):
        return None
    return not_started(running, wanted, once=is_started_once(state.plan))


def goes_on_now(state: RunState) -> bool:
    """Whether the awaited kernel runs and something of the run is left to do under it."""
    step = restart_of(state.plan)
    if step is None or running_release() != wanted_release(step):
        return False
    if state.status in {RunStatus.DONE, RunStatus.RUNNING, RunStatus.NEEDS_RESTART}:
        return False
    return state.status is RunStatus.RESTARTED or state.steps[step.id].status is not StepStatus.WAITING


def not_started_words(plan: Plan, step: Step, observed: tuple[str, ...]) -> Words:
    """The machine was restarted, and another kernel runs: how to see why, and what to do next."""
    running = ObservedKernel.model_validate_json(observed[0]).release
    return not_started(running, wanted_release(step), once=is_started_once(plan))


def is_started_once(plan: Plan) -> bool:
    """Whether the boot loader was told to start the kernel, rather than the person to pick it."""
    return any(isinstance(action, SetNextBoot) for step in plan.steps for action in step.actions)


def not_started(running: str, wanted: str, *, once: bool) -> Words:
    """As `not_started_words`. What a crash leaves: Documentation/admin-guide/pstore-blk.rst, kdump(8)."""
    if once:
        return say(
            "The machine was restarted and runs Linux {running}: Linux {wanted} did not come up, unless "
            "somebody picked another kernel in GRUB's menu or restarted again. {running} is still the "
            "default. To see why: journalctl -k -b -1 has the start before this one, if it came far "
            "enough to be written; a crash may have left something in /var/lib/systemd/pstore, "
            "/sys/fs/pstore or /var/crash; else watch the console while it starts. Then try it once more, "
            "or undo.",
            running=running,
            wanted=wanted,
        )
    return say(
        "The machine was restarted and runs Linux {running}: Linux {wanted} did not come up, or was not "
        "chosen. Restart, and pick it in the boot menu, below the advanced options. If it does not come up: "
        "journalctl -k -b -1 has the start before this one, if it came far enough to be written; a crash "
        "may have left something in /var/lib/systemd/pstore, /sys/fs/pstore or /var/crash. Then try it "
        "once more, or undo.",
        running=running,
        wanted=wanted,
    )
