"""How far a step has come, from what its package manager or its worker says."""

from pathlib import Path

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.packages.protocol import PackageManager
from kvmwizard.plan.model import PackageListsFresh, PackagesAbsent, PackagesInstalled, Step
from kvmwizard.run.log import tail
from kvmwizard.run.model import StepProgress
from kvmwizard.run.workers import last_told
from kvmwizard.words import say

LOOK_BACK_LINES = 50
"""Far enough to find the last line about progress among those about anything else."""


def last_progress(step: Step, progress: Path, log: Path) -> StepProgress | None:
    """What the package manager or the worker said last; None where it is silent. Raises OSError."""
    if not step.root:
        return last_told(progress)
    manager = step_manager(step)
    if manager is None:
        return None
    holder = manager.lock_holder("\n".join(tail(log, 1)))
    if holder is not None:
        return StepProgress(fraction=None, words=holder.words)
    for line in reversed(tail(progress, LOOK_BACK_LINES)):
        found = manager.parse_progress(line)
        if found is not None:
            return StepProgress(
                fraction=found.fraction(refreshes_lists(step)), words=say("{line}", line=found.english)
            )
    return None


def refreshes_lists(step: Step) -> bool:
    """Whether the step renews the package lists: it downloads, and installs nothing."""
    return any(isinstance(condition, PackageListsFresh) for condition in step.conditions)


def step_manager(step: Step) -> PackageManager | None:
    """The package manager that the step is for."""
    for condition in step.conditions:
        if isinstance(condition, PackageListsFresh | PackagesInstalled | PackagesAbsent):
            return MANAGERS[condition.manager]
    return None
