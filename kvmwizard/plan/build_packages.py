"""The step that installs what building needs."""

from kvmwizard.answers import Answers
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.costs import packages_cost
from kvmwizard.host.facts import Facts
from kvmwizard.packages.distributions import family_of, release_name
from kvmwizard.packages.managers import package_manager
from kvmwizard.plan.model import PackagesInstalled, Step
from kvmwizard.plan.setting import PACKAGES_STEP
from kvmwizard.plan.software import REFRESH_STEP, run_command
from kvmwizard.words import Words, say, say_many


def build_package_names(facts: Facts, answers: Answers) -> tuple[str, ...]:
    """What is needed for all that these answers build, each once; empty where nothing is built.

    Empty, too, where the distribution is unknown: see `build_package_notes`.
    """
    family = family_of(facts.distribution)
    if family is None or package_manager(facts.distribution) is None:
        return ()
    release = release_name(facts.distribution)
    names: list[str] = []
    kernel, qemu = chosen_kernel(answers), chosen_qemu(answers)
    if kernel is not None:
        names += family.build_packages(
            "linux",
            str(kernel.version),
            kernel.build.compiler,
            ccache=kernel.build.ccache,
            debug_info=kernel.build.debug_info,
            release=release,
        )
    if qemu is not None:
        names += family.build_packages("qemu", str(qemu.version), release=release)
    return tuple(dict.fromkeys(names))


def build_package_steps(facts: Facts, answers: Answers) -> tuple[Step, ...]:
    """One step, or none; it is not one with the QEMU package's, so that compiling need not wait for that."""
    names = build_package_names(facts, answers)
    manager = package_manager(facts.distribution)
    if not names or manager is None:
        return ()
    cost = packages_cost()
    return (
        Step(
            id=PACKAGES_STEP,
            title=say_many(
                "Install the package that building needs",
                "Install the {count} packages that building needs",
                len(names),
            ),
            needs=(REFRESH_STEP,),
            root=True,
            uses=("network", "packages"),
            seconds=cost.seconds,
            disk_bytes=cost.bytes,
            conditions=(PackagesInstalled(manager=manager.name, names=names),),
            actions=tuple(map(run_command, manager.install(names))),
        ),
    )


def build_package_notes(facts: Facts, answers: Answers) -> tuple[Words, ...]:
    """What the person must see to where no package manager is known."""
    built = chosen_kernel(answers) is not None or chosen_qemu(answers) is not None
    if not built or build_package_names(facts, answers):
        return ()
    return (
        say(
            "kvmwizard does not know this machine's package manager, so it installs no compiler and no "
            "libraries. Install what building needs yourself: the sources' own documentation lists it."
        ),
    )
