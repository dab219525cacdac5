"""Makes the plan: facts and answers in, steps out."""

from kvmwizard.answers import Answers, DistributionKernel, LocalQemu, native_emulators
from kvmwizard.host.facts import Facts
from kvmwizard.host.firmware import FirmwareLock
from kvmwizard.host.modules import ModuleState
from kvmwizard.packages.distributions import family_of
from kvmwizard.packages.managers import package_manager
from kvmwizard.plan.access import access_notes, access_steps
from kvmwizard.plan.kernel import kernel_notes, kernel_steps
from kvmwizard.plan.model import Plan, Step
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.plan.software import software_steps
from kvmwizard.words import Words, say


def make_plan(facts: Facts, answers: Answers) -> Plan:
    """What has to be done on this machine for these answers; the same input gives the same plan.

    `answer_problems` has found nothing in the answers: what only the machine can
    say, as whether the user exists, is not asked here.

    Raises:
        PlanRefused: a page is unanswered, or packages are wanted and the machine has
            no package manager that we know.
    """
    if answers.access is None or None in _pages(answers):
        raise PlanRefused(say("Some pages have no answer yet. Answer them all; each has a good default."))
    kernel_preparation = kernel_steps(facts, answers)
    loads_modules = any(step.id == "modules.load" for step in kernel_preparation)
    steps = (
        *software_steps(facts, answers),
        *kernel_preparation,
        *access_steps(facts, answers.access, loads_modules),
    )
    return Plan(
        user=answers.access.user,
        qemu=_emulator(facts, answers),
        kernel_release=_kernel_release(answers),
        notes=(
            *_machine_notes(facts),
            *kernel_notes(facts, answers),
            *access_notes(facts, answers.access, loads_modules),
        ),
        only_shown=_only_shown(facts, steps),
        steps=_with_needs_that_are_there(steps),
    )


def _pages(answers: Answers) -> tuple[object, ...]:
    """What every way asks; the pages about builds and mirrors apply to some alone."""
    return (answers.welcome, answers.kernel, answers.kernel_options, answers.qemu, answers.qemu_options)


def _with_needs_that_are_there(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """A step names all that it would wait for; of these, what does not apply is not waited for."""
    ids = {step.id for step in steps}
    return tuple(
        step.model_copy(update={"needs": tuple(need for need in step.needs if need in ids)}) for step in steps
    )


def _emulator(facts: Facts, answers: Answers) -> str | None:
    """The QEMU that was chosen, or the one that the distribution's package has or will bring."""
    qemu = answers.qemu.qemu if answers.qemu else None
    if isinstance(qemu, LocalQemu):
        return qemu.path
    family = family_of(facts.distribution)
    foreseen = family.emulator_path(facts.processor.architecture) if family else None
    present = [binary.path for binary in native_emulators(facts)]
    return foreseen if foreseen or not present else present[0]


def _kernel_release(answers: Answers) -> str | None:
    kernel = answers.kernel.kernel if answers.kernel else None
    return kernel.release if isinstance(kernel, DistributionKernel) else None


def _only_shown(facts: Facts, steps: tuple[Step, ...]) -> Words | None:
    if not facts.live:
        return say("This is a recorded machine: the plan can be looked at, and not carried out.")
    manager = package_manager(facts.distribution)
    if manager is not None and not manager.carried_out and any("packages" in step.uses for step in steps):
        return say(
            "kvmwizard does not run {manager} yet. Run the commands of the plan yourself: "
            "kvmwizard plan --format sh writes them as a script.",
            manager=manager.name,
        )
    return None


def _machine_notes(facts: Facts) -> tuple[Words, ...]:
    """What no step can mend."""
    notes: list[Words] = []
    if facts.firmware.virtualization is FirmwareLock.DISABLED:
        notes.append(
            say(
                "The firmware has locked virtualization off. Turn it on in the firmware's setup "
                "(often called VT-x, SVM or Virtualization Technology); no plan can do it."
            )
        )
    others = [
        name
        for name in ("vboxdrv", "vmmon")
        if name in facts.modules.modules and facts.modules.modules[name].state is ModuleState.LOADED
    ]
    if others:
        notes.append(
            say(
                "Another hypervisor is loaded ({modules}). While its guests run, KVM's may not start.",
                modules=", ".join(others),
            )
        )
    return tuple(notes)
