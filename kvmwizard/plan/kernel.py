"""The steps that prepare the kernel: its modules, their options, and the IOMMU."""

from kvmwizard.answers import Answers, KeepKernel, KernelOptionsAnswer
from kvmwizard.checks.evidence import EXTENSION_DRIVERS
from kvmwizard.host.facts import Facts
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.packages.distributions import expected
from kvmwizard.plan.model import (
    Action,
    Condition,
    FileHolds,
    FileMentions,
    ModuleLoaded,
    RunCommand,
    Step,
    WriteFile,
)
from kvmwizard.words import Words, say

MODULES_FILE = "/etc/modules-load.d/kvmwizard.conf"
OPTIONS_FILE = "/etc/modprobe.d/kvmwizard.conf"
GRUB_FILE = "/etc/default/grub.d/kvmwizard.cfg"
GRUB_DEFAULT_FILE = "/etc/default/grub.d/kvmwizard-boot.cfg"
GRUB_MENU = "/boot/grub/grub.cfg"
"""What update-grub(8) makes of it: only what stands here reaches the kernel."""
MODPROBE = "/sbin/modprobe"
UPDATE_GRUB = "/usr/sbin/update-grub"
PLAIN_FILE = 0o644


def kernel_steps(facts: Facts, answers: Answers) -> tuple[Step, ...]:
    """Options before loading, so that the modules come up with them."""
    options = answers.kernel_options or KernelOptionsAnswer()
    steps = []
    if nested_module(facts, options) is not None:
        steps.append(_nested_step(facts, options))
    now, at_boot = modules_to_load(facts, answers)
    if now:
        steps.append(_load_step(now))
    if at_boot:
        steps.append(_boot_step(at_boot))
    parameter = iommu_parameter(facts, options)
    if parameter is not None:
        steps.append(_iommu_step(parameter))
    return tuple(steps)


def modules_to_load(facts: Facts, answers: Answers) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the chosen modules, those to load now, and those to load at every boot.

    What is built in is there already. What the running kernel lacks may come
    with the kernel that is to be installed, so it is loaded at boot only.
    """
    options = answers.kernel_options or KernelOptionsAnswer()
    if facts.modules.loadable is False or isinstance(facts.environment.container, str):
        return (), ()
    states = {name: _state(facts, name) for name in options.modules}
    new_kernel = answers.kernel is not None and not isinstance(answers.kernel.kernel, KeepKernel)
    not_now = {ModuleState.BUILT_IN, ModuleState.ABSENT}
    never = {ModuleState.BUILT_IN} if new_kernel else not_now
    now = tuple(name for name in options.modules if states[name] not in not_now)
    return now, tuple(name for name in options.modules if states[name] not in never)


def nested_module(facts: Facts, options: KernelOptionsAnswer) -> str | None:
    """The module whose option must change for what was chosen about nesting; None where none must."""
    if options.nested is None or facts.modules.nested == options.nested:
        return None
    module = _processor_module(facts)
    if module is None or _state(facts, module) is ModuleState.BUILT_IN or facts.modules.loadable is False:
        return None
    return module


def iommu_parameter(facts: Facts, options: KernelOptionsAnswer) -> str | None:
    """The word the kernel command line lacks; None where nothing lacks or was asked for.

    Linux turns AMD's IOMMU on by itself (Documentation/admin-guide/kernel-parameters.txt).
    """
    if not options.iommu or "intel_iommu=on" in facts.iommu.parameters:
        return None
    return "intel_iommu=on" if facts.processor.vendor == "GenuineIntel" else None


def kernel_notes(facts: Facts, answers: Answers) -> tuple[Words, ...]:
    """What the person should know of modules, their options and the restart."""
    options = answers.kernel_options or KernelOptionsAnswer()
    notes = [*_module_notes(facts, answers), *_nested_notes(facts, options)]
    if iommu_parameter(facts, options) is not None:
        notes.append(say("The IOMMU is on after the next restart. kvmwizard does not restart the machine."))
    elif options.iommu:
        notes.append(
            say("Nothing has to be done for the IOMMU: this machine's kernel turns it on by itself.")
        )
    return tuple(notes)


def _module_notes(facts: Facts, answers: Answers) -> list[Words]:
    options = answers.kernel_options or KernelOptionsAnswer()
    if not options.modules:
        return []
    built_in = [name for name in options.modules if _state(facts, name) is ModuleState.BUILT_IN]
    others = [name for name in options.modules if name not in built_in]
    notes = []
    if built_in:
        notes.append(say("Built into the kernel, nothing to load: {modules}.", modules=", ".join(built_in)))
    if others and facts.modules.loadable is False:
        notes.append(
            say(
                "This kernel takes no modules, so these are not loaded: {modules}.", modules=", ".join(others)
            )
        )
    elif others and isinstance(facts.environment.container, str):
        notes.append(
            say(
                "A container cannot load modules. Load these on the machine that holds it: {modules}.",
                modules=", ".join(others),
            )
        )
    return notes


def _nested_notes(facts: Facts, options: KernelOptionsAnswer) -> list[Words]:
    if options.nested is None or facts.modules.nested == options.nested:
        return []
    module = nested_module(facts, options)
    if module is None:
        name = _processor_module(facts)
        if name is None:
            return [say("This processor has no option for guests that run guests, so none is set.")]
        return [
            say(
                "{module} is built into the kernel. To choose about guests that run guests, add "
                "{module}.nested={value} to the kernel command line yourself.",
                module=name,
                value=int(options.nested),
            )
        ]
    if _state(facts, module) is ModuleState.LOADED:
        return [
            say(
                "{module} is loaded already, and guests may be using it. "
                "Its new option counts from the next restart.",
                module=module,
            )
        ]
    return []


def _processor_module(facts: Facts) -> str | None:
    """The module whose option nesting is; None where the processor has no such module."""
    extension = facts.processor.extension
    return EXTENSION_DRIVERS.get(extension) if isinstance(extension, VirtualizationExtension) else None


def _state(facts: Facts, name: str) -> ModuleState | None:
    module = facts.modules.modules.get(name)
    return module.state if module is not None and isinstance(module.state, ModuleState) else None


def _nested_step(facts: Facts, options: KernelOptionsAnswer) -> Step:
    module, value = nested_module(facts, options), int(bool(options.nested))
    text = f"# Written by kvmwizard.\noptions {module} nested={value}\n"
    return Step(
        id="modules.options",
        title=say("Let guests run guests") if options.nested else say("Keep guests from running guests"),
        root=True,
        seconds=0,
        conditions=(FileHolds(path=OPTIONS_FILE, text=text, mode=PLAIN_FILE),),
        actions=(WriteFile(path=OPTIONS_FILE, text=text, mode=PLAIN_FILE),),
        required=False,
    )


def _load_step(names: tuple[str, ...]) -> Step:
    return Step(
        id="modules.load",
        title=say("Load {modules}", modules=", ".join(names)),
        needs=("modules.options",),
        root=True,
        seconds=expected("modules.load").seconds * len(names),
        conditions=tuple(ModuleLoaded(name=name) for name in names),
        actions=tuple(RunCommand(argv=(MODPROBE, name)) for name in names),
    )


def _boot_step(names: tuple[str, ...]) -> Step:
    text = "# Written by kvmwizard.\n" + "".join(f"{name}\n" for name in names)
    return Step(
        id="modules.boot",
        title=say("Load {modules} at every boot", modules=", ".join(names)),
        root=True,
        seconds=0,
        conditions=(FileHolds(path=MODULES_FILE, text=text, mode=PLAIN_FILE),),
        actions=(WriteFile(path=MODULES_FILE, text=text, mode=PLAIN_FILE),),
    )


def saved_default() -> tuple[tuple[Condition, ...], tuple[Action, ...]]:
    """What lets GRUB start another kernel than the first of its menu (GRUB_DEFAULT in its manual)."""
    text = "# Written by kvmwizard.\nGRUB_DEFAULT=saved\n"
    written = {"path": GRUB_DEFAULT_FILE, "text": text, "mode": PLAIN_FILE}
    return (
        (FileHolds.model_validate(written),),
        (WriteFile.model_validate(written), RunCommand(argv=(UPDATE_GRUB,))),
    )


def _iommu_step(parameter: str) -> Step:
    text = f'# Written by kvmwizard.\nGRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {parameter}"\n'
    return Step(
        id="boot.iommu",
        title=say("Turn the IOMMU on with {parameter}", parameter=parameter),
        needs=("kernel.install",),
        root=True,
        seconds=expected("boot.iommu").seconds,
        conditions=(
            FileHolds(path=GRUB_FILE, text=text, mode=PLAIN_FILE),
            FileMentions(path=GRUB_MENU, text=parameter),
        ),
        actions=(WriteFile(path=GRUB_FILE, text=text, mode=PLAIN_FILE), RunCommand(argv=(UPDATE_GRUB,))),
        required=False,
    )
