"""Makes the plan: facts and answers in, steps out."""

from collections.abc import Iterable
from dataclasses import dataclass

from kvmwizard.answers import Answers, DistributionKernel, LocalQemu, native_emulators
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.costs import disk_needed
from kvmwizard.host.facts import Facts
from kvmwizard.host.firmware import FirmwareLock
from kvmwizard.host.modules import ModuleState
from kvmwizard.packages.distributions import family_of
from kvmwizard.packages.managers import package_manager
from kvmwizard.plan.access import access_notes, access_steps
from kvmwizard.plan.build_packages import build_package_names, build_package_notes, build_package_steps
from kvmwizard.plan.builder import builder_for
from kvmwizard.plan.kernel import kernel_notes, kernel_steps
from kvmwizard.plan.kernel_boot import (
    RESTART_NOTE,
    BootNotes,
    NewKernel,
    boot_notes,
    choice_steps,
    restart_steps,
)
from kvmwizard.plan.lasting import with_lasting
from kvmwizard.plan.model import Plan, Step
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.plan.setting import setting_of
from kvmwizard.plan.software import REFRESH_STEP, software_steps
from kvmwizard.plan.source_kernel import GuestQemu, kernel_build
from kvmwizard.plan.source_qemu import qemu_build
from kvmwizard.plan.spans import size_words
from kvmwizard.words import Words, say


def make_plan(facts: Facts, answers: Answers) -> Plan:
    """What has to be done on this machine for these answers; the same input gives the same plan.

    `answer_problems` has found nothing in the answers: what only the machine can
    say, as whether the user exists, is not asked here.

    Raises:
        PlanRefused: a page is unanswered; packages are wanted and the machine has no
            package manager that we know; what is to be built does not build or run here.
    """
    if answers.access is None or None in _pages(answers):
        raise PlanRefused(say("Some pages have no answer yet. Answer them all; each has a good default."))
    builds = _builds(facts, answers)
    kernel_preparation = kernel_steps(facts, answers)
    loads_modules = any(step.id == "modules.load" for step in kernel_preparation)
    software = software_steps(facts, answers, build_package_names(facts, answers))
    kernel, emulator = _new_kernel(answers), builds.emulator or _emulator(facts, answers)
    notes = _boot_notes(facts, answers, kernel)
    before = (
        *(step for step in software if step.id == REFRESH_STEP),
        *build_package_steps(facts, answers),
        # The longest way first, so that it is begun first: the kernel's.
        *builds.steps,
        *(step for step in software if step.id != REFRESH_STEP),
        *kernel_preparation,
        *(() if kernel is None else choice_steps(facts, kernel)),
        *access_steps(facts, answers.access, loads_modules),
    )
    others = (step.id for step in before)
    steps = (
        *before,
        *(() if kernel is None else restart_steps(facts, kernel, answers.access.user, emulator, others)),
    )
    return Plan(
        user=answers.access.user,
        builder=builder_for(facts, answers.access) if builds.steps else None,
        build_folder=builds.folder,
        qemu=emulator,
        kernel_release=None if kernel is None else kernel.release,
        notes=(
            *_machine_notes(facts),
            *builds.notes,
            *kernel_notes(facts, answers),
            *notes.until_default,
            *notes.ever_after,
            *access_notes(facts, answers.access, loads_modules),
        ),
        settled=(*builds.settled, *notes.until_default),
        only_shown=_only_shown(facts, steps),
        steps=with_lasting(in_order(_with_needs_that_are_there(steps))),
    )


@dataclass(frozen=True)
class _Builds:
    """What is built from source."""

    folder: str | None = None
    steps: tuple[Step, ...] = ()
    notes: tuple[Words, ...] = ()
    settled: tuple[Words, ...] = ()
    emulator: str | None = None
    """The QEMU that is built, where it will be installed."""


def _builds(facts: Facts, answers: Answers) -> _Builds:
    """Raises PlanRefused."""
    wanted_kernel, wanted_qemu = chosen_kernel(answers), chosen_qemu(answers)
    if wanted_kernel is None and wanted_qemu is None:
        return _Builds()
    setting = setting_of(facts, answers)
    qemu = None if wanted_qemu is None else qemu_build(setting, wanted_qemu)
    guest = _guest_qemu(facts, answers) if qemu is None else qemu.guest
    kernel = None if wanted_kernel is None else kernel_build(setting, wanted_kernel, guest)
    parts = [part for part in (kernel, qemu) if part is not None]
    together = () if setting.why_not_together is None else (setting.why_not_together,)
    return _Builds(
        folder=setting.folder,
        steps=tuple(step for part in parts for step in part.steps),
        settled=(*(note for part in parts for note in part.settled), *together),
        notes=(
            *(note for part in parts for note in part.notes),
            *together,
            *build_package_notes(facts, answers),
            say(
                "All of this is built in {folder}, which takes about {size}. It stays there, so that "
                "building again is fast; remove it whenever you want the room back.",
                folder=setting.folder,
                size=size_words(disk_needed(answers)),
            ),
        ),
        emulator=None if qemu is None else qemu.program,
    )


def _guest_qemu(facts: Facts, answers: Answers) -> GuestQemu | None:
    """The chosen QEMU where none is built; its package comes first."""
    path = _emulator(facts, answers)
    return None if path is None else GuestQemu(path, firmware=(), needs=("packages.install",), made_from=())


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps so that each stands after all that it needs, otherwise in the order given."""
    left, placed = list(steps), dict[str, Step]()
    while left:
        ready = next(step for step in left if all(need in placed for need in step.needs))
        left.remove(ready)
        placed[ready.id] = ready
    return tuple(placed.values())


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


def _new_kernel(answers: Answers) -> NewKernel | None:
    """The kernel that shall run; None where the present one is kept."""
    built = chosen_kernel(answers)
    if built is not None:
        return NewKernel(built.release, built=True, installed_by=("kernel.install",))
    kernel = answers.kernel.kernel if answers.kernel else None
    if not isinstance(kernel, DistributionKernel) or kernel.release is None:
        # Nobody can say later whether it is the one that runs.
        return None
    return NewKernel(kernel.release, built=False, installed_by=("packages.install",))


def _boot_notes(facts: Facts, answers: Answers, kernel: NewKernel | None) -> BootNotes:
    if kernel is not None:
        return boot_notes(facts, kernel)
    comes = answers.kernel is not None and isinstance(answers.kernel.kernel, DistributionKernel)
    return BootNotes((RESTART_NOTE,)) if comes else BootNotes()


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
