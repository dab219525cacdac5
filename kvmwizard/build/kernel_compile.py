"""Compiles a configured kernel; goes on where an earlier try was ended."""

from pathlib import Path

from kvmwizard.build.failures import build_failure
from kvmwizard.build.kernel_make import KernelMake, KernelRefused, config_values
from kvmwizard.build.kernel_steps import PREPARED, Forecast, StepCounter, Totals
from kvmwizard.build.log_follower import LogFollower
from kvmwizard.build.torn import remove_torn
from kvmwizard.job import Job
from kvmwizard.plan.build_model import CompileKernel
from kvmwizard.product import write_stamp
from kvmwizard.words import say

RELEASE_FILE = "include/config/kernel.release"


def compile_kernel(job: Job) -> None:
    """Carry out a CompileKernel. Raises Refusal, OSError."""
    action = CompileKernel.model_validate(job.action)
    make = KernelMake(job, Path(action.tree), Path(action.build), action.make_variables)
    stamp = Path(action.stamp)
    stamp.unlink(missing_ok=True)
    make.refuse_odd_paths()
    values = config_values(make.build / ".config")
    _refuse_other_release(f"{make.version}{values.get('LOCALVERSION', '').strip(chr(34))}", action.release)
    remove_torn(make.build)
    targets = (make.image.target, *(("modules",) if values.get("MODULES") == "y" else ()))
    totals = Totals(Path(action.totals), action.identity)
    counter = StepCounter(job.progress, totals, from_scratch=not (make.build / PREPARED).exists())
    _build(make, targets, counter, action.jobs)
    release = (make.build / RELEASE_FILE).read_text(encoding="ascii", errors="replace").strip()
    _refuse_other_release(release, action.release)
    counter.finish()
    image = make.build / make.image.path
    outputs = [image, make.build / "System.map", make.build / ".config"]
    told = say("Linux {release} is compiled", release=release)
    write_stamp(stamp, action.identity, outputs, {"release": release, "steps": counter.done}, told)


def _build(make: KernelMake, targets: tuple[str, ...], counter: StepCounter, jobs: int) -> None:
    """Run make. Raises KernelRefused with why it failed."""
    with LogFollower(make.log, counter.take), Forecast(make, targets, counter):
        argv = make.arguments(f"-j{jobs}", *targets)
        ended = make.job.run(argv, make.tree, make.environment)
    if ended.returncode != 0:
        counter.save()
        raise KernelRefused(build_failure("linux", make.version, make.log.end(), jobs))


def _refuse_other_release(says: str, release: str) -> None:
    """Raises KernelRefused for a kernel that would call itself something else."""
    if says != release:
        raise KernelRefused(
            say(
                "This kernel calls itself {says}, and {release} was planned. A file localversion in its "
                "source or another setting adds to the name. Remove that, or choose the source anew.",
                says=says,
                release=release,
            )
        )
