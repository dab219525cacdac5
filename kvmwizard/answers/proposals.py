"""What is proposed for a machine, and what is filled in where nothing was answered."""

from kvmwizard.answers.models import (
    AccessAnswer,
    Answers,
    DistributionQemu,
    KernelAnswer,
    KernelBuildAnswer,
    KernelOptionsAnswer,
    LocalQemu,
    QemuAnswer,
    QemuBuildAnswer,
    QemuOptionsAnswer,
    SourceAnswer,
    WelcomeAnswer,
)
from kvmwizard.checks.evidence import EXTENSION_DRIVERS, is_power
from kvmwizard.host.facts import Facts
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.qemu import QemuBinary, native_binaries
from kvmwizard.host.reading import Unknown, known


def proposed_answers(facts: Facts) -> Answers:
    """A good default for every page of this machine."""
    return completed_answers(Answers(), facts)


def completed_answers(answers: Answers, facts: Facts) -> Answers:
    """The answers, with what has not been answered as it is proposed for this machine.

    How something is built is filled in where it is built from source.
    """
    kernel = answers.kernel or KernelAnswer()
    qemu = answers.qemu or QemuAnswer(qemu=_proposed_qemu(facts))
    builds_kernel = isinstance(kernel.kernel, SourceAnswer)
    builds_qemu = isinstance(qemu.qemu, SourceAnswer)
    return Answers(
        welcome=answers.welcome or WelcomeAnswer(),
        sources=answers.sources,
        kernel=kernel,
        kernel_build=answers.kernel_build or (proposed_kernel_build(facts) if builds_kernel else None),
        kernel_options=answers.kernel_options or KernelOptionsAnswer(modules=_proposed_modules(facts)),
        qemu=qemu,
        qemu_build=answers.qemu_build or (QemuBuildAnswer() if builds_qemu else None),
        qemu_options=answers.qemu_options or _proposed_qemu_options(qemu),
        access=answers.access or _proposed_access(facts),
    )


def proposed_kernel_build(facts: Facts) -> KernelBuildAnswer:
    """A trimmed copy of the running kernel's configuration, installed as a package where that can be."""
    return KernelBuildAnswer(
        base="localmodconfig" if running_configuration_known(facts) else "defconfig",
        install="package" if packages_can_be_made(facts) else "plain",
    )


def running_configuration_known(facts: Facts) -> bool:
    """Whether the running kernel's configuration can be read, to build another one like it."""
    return facts.kernel.configuration_source is not None


def packages_can_be_made(facts: Facts) -> bool:
    """Whether what is built can be installed as a package: those of apt are the ones the wizard makes."""
    return known(facts.distribution.package_manager, None) == "apt"


def native_emulators(facts: Facts) -> tuple[QemuBinary, ...]:
    """The QEMUs here that run guests of this machine's own architecture, which alone can use KVM."""
    return native_binaries(known(facts.qemu.binaries, ()), facts.processor.architecture)


def _proposed_modules(facts: Facts) -> tuple[str, ...]:
    """Those that guests here profit from, and that a command would load."""
    if facts.modules.loadable is False:
        return ()
    wanted = (_processor_module(facts), "vhost_net", "tun")
    return tuple(name for name in wanted if module_state(facts, name) is ModuleState.AVAILABLE)


def _processor_module(facts: Facts) -> str:
    """The module that makes KVM work on this processor; its dependencies come with it."""
    if is_power(facts):
        return "kvm_hv"
    extension = facts.processor.extension
    if isinstance(extension, Unknown):
        return "kvm"
    # A module that needs an extension does not load where there is none.
    return {**EXTENSION_DRIVERS, VirtualizationExtension.NONE: "kvm_pvm"}.get(extension, "kvm")


def module_state(facts: Facts, name: str) -> ModuleState | Unknown | None:
    """How the module stands; None for one that the wizard does not know."""
    module = facts.modules.modules.get(name)
    return None if module is None else module.state


def _proposed_qemu(facts: Facts) -> DistributionQemu | LocalQemu:
    """A QEMU that is here and says its version, before installing one."""
    for binary in native_emulators(facts):
        if not isinstance(binary.version, Unknown):
            return LocalQemu(path=binary.path)
    return DistributionQemu()


def _proposed_qemu_options(qemu: QemuAnswer) -> QemuOptionsAnswer:
    return QemuOptionsAnswer() if qemu.qemu.source == "distribution" else QemuOptionsAnswer(extras=())


def _proposed_access(facts: Facts) -> AccessAnswer:
    """The person; for root who came by no sudo, the machine's only ordinary account."""
    person = facts.users.person or "root"
    ordinary = [account.name for account in known(facts.users.accounts, ()) if account.id != 0]
    return AccessAnswer(user=ordinary[0] if person == "root" and len(ordinary) == 1 else person)
