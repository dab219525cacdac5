"""The steps that install packages: QEMU, what goes with it, and a kernel."""

from collections.abc import Sequence

from kvmwizard.answers import Answers, DistributionKernel, DistributionQemu
from kvmwizard.catalog.feasibility import NO_KERNEL_IN_A_CONTAINER
from kvmwizard.host.facts import Facts
from kvmwizard.packages.distributions import Family, expected, family_of
from kvmwizard.packages.managers import package_manager
from kvmwizard.packages.protocol import Command, PackageManager
from kvmwizard.plan.model import PackageListsFresh, PackagesInstalled, RunCommand, Step
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.words import say

REFRESH_STEP = "packages.refresh"
FRESH_SECONDS = 24 * 60 * 60


def software_steps(facts: Facts, answers: Answers, build_packages: tuple[str, ...] = ()) -> tuple[Step, ...]:
    """Refresh, install and kernel, as far as something is to be installed. Raises PlanRefused.

    `build_packages` are installed by a step of their own, which needs fresh lists, too.
    """
    kernel = answers.kernel.kernel if answers.kernel else None
    chosen_kernel = kernel if isinstance(kernel, DistributionKernel) else None
    choices = _choices(answers)
    if not choices and chosen_kernel is None and not build_packages:
        return ()
    if chosen_kernel is not None and isinstance(facts.environment.container, str):
        raise PlanRefused(NO_KERNEL_IN_A_CONTAINER)
    manager, family = _manager_and_family(facts)
    names = _package_names(family, choices, facts.processor.architecture)
    steps = [_install_step(manager, names, choices)] if names else []
    if chosen_kernel is not None:
        steps.append(_kernel_step(manager, chosen_kernel))
    if not steps and not build_packages:
        return ()
    return (*_refresh_steps(manager, (*build_packages, *names), chosen_kernel), *steps)


def run_command(command: Command) -> RunCommand:
    """A package manager's command as an action."""
    return RunCommand(argv=command.argv, environment=dict(command.environment), locks=command.locks)


def _choices(answers: Answers) -> tuple[str, ...]:
    qemu = answers.qemu is not None and isinstance(answers.qemu.qemu, DistributionQemu)
    extras = answers.qemu_options.extras if answers.qemu_options else ()
    return (*(("qemu",) if qemu else ()), *extras)


def _manager_and_family(facts: Facts) -> tuple[PackageManager, Family]:
    manager, family = package_manager(facts.distribution), family_of(facts.distribution)
    if manager is None or family is None:
        raise PlanRefused(
            say(
                "Packages would have to be installed, but kvmwizard does not know this machine's package "
                "manager. Install QEMU the way your distribution does, then choose it as the QEMU that is "
                "already here, keep the running kernel, and choose nothing to go with QEMU."
            )
        )
    return manager, family


def _package_names(family: Family, choices: Sequence[str], architecture: str) -> tuple[str, ...]:
    names = [name for choice in choices for name in family.package_names(choice, architecture)]
    return tuple(dict.fromkeys(names))


def _refresh_steps(
    manager: PackageManager, names: tuple[str, ...], kernel: DistributionKernel | None
) -> tuple[Step, ...]:
    actions = tuple(map(run_command, manager.refresh()))
    if not actions:
        return ()
    wanted = PackagesInstalled(
        manager=manager.name,
        names=(*names, kernel.package) if kernel else names,
        at_least={kernel.package: kernel.version} if kernel else {},
    )
    cost = expected(REFRESH_STEP)
    return (
        Step(
            id=REFRESH_STEP,
            title=say("Refresh the package lists"),
            root=True,
            uses=("network", "packages"),
            seconds=cost.seconds,
            disk_bytes=cost.bytes,
            conditions=(PackageListsFresh(manager=manager.name, seconds=FRESH_SECONDS, wanted=wanted),),
            actions=actions,
            # One unreachable source among many is no reason to stop: installing will tell.
            required=False,
        ),
    )


def _install_step(manager: PackageManager, names: tuple[str, ...], choices: Sequence[str]) -> Step:
    costs = [expected(f"packages.{choice}") for choice in choices]
    return Step(
        id="packages.install",
        title=say("Install {packages}", packages=", ".join(names)),
        needs=(REFRESH_STEP,),
        root=True,
        uses=("network", "packages"),
        seconds=sum(cost.seconds for cost in costs),
        disk_bytes=sum(cost.bytes for cost in costs),
        conditions=(PackagesInstalled(manager=manager.name, names=names),),
        actions=tuple(map(run_command, manager.install(names))),
    )


def _kernel_step(manager: PackageManager, kernel: DistributionKernel) -> Step:
    cost = expected("kernel.install")
    return Step(
        id="kernel.install",
        title=say(
            "Install the kernel package {package}, version {version}",
            package=kernel.package,
            version=kernel.version,
        ),
        needs=(REFRESH_STEP,),
        root=True,
        uses=("network", "packages"),
        seconds=cost.seconds,
        disk_bytes=cost.bytes,
        conditions=(
            PackagesInstalled(
                manager=manager.name, names=(kernel.package,), at_least={kernel.package: kernel.version}
            ),
        ),
        actions=tuple(map(run_command, manager.install((kernel.package,)))),
    )
