"""The kernel's driver for the processor, and why it is not at work."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Link, Situation
from kvmwizard.checks.check import AS_ROOT, Check
from kvmwizard.checks.kernel import kernel_with_kvm
from kvmwizard.checks.results import Cause, CheckResult, Mend
from kvmwizard.host.facts import Facts
from kvmwizard.host.modules import ModuleFacts, ModuleState
from kvmwizard.host.reading import Unknown, UnknownReason, known
from kvmwizard.words import say

MODULE = Check(
    "kvm.module",
    say("KVM in the kernel"),
    say("The kernel's own driver for the processor offers /dev/kvm, built in or as a module."),
)

REFUSALS = (
    "disabled by bios",
    "disabled (by BIOS)",
    "no hardware support",
    "not supported",
    "already loaded the other module",
    "unsupported",
    "HYP mode not available",
    "Key was rejected",
    "disable TXT",
    "not enabled",
)
"""Words of the kernel's log when KVM declines to start (arch/*/kvm, Linux 4.8 to 6.12)."""


def check_module(situation: Situation) -> tuple[CheckResult, ...]:
    """The driver alone; it is a link of the chain."""
    return (_module(situation),)


def _module(situation: Situation) -> CheckResult:
    facts = situation.facts
    module = evidence.driver(facts)
    if situation.broken is Link.MODULE and module is not None:
        return _broken(facts, module)
    if waits := situation.waits_for(Link.MODULE, MODULE):
        return waits
    if module is None:
        return _told_by_device(facts, None)
    if isinstance(module.state, Unknown):
        return _told_by_device(facts, module.state)
    if module.state is ModuleState.LOADED:
        return MODULE.passed(say("{module} is loaded.", module=module.name))
    if module.state is ModuleState.BUILT_IN:
        return MODULE.passed(say("{module} is built into the kernel.", module=module.name))
    if evidence.works(facts):
        return _told_by_device(facts, None)
    return MODULE.not_applicable(say("A container takes its KVM from the machine outside."))


def _told_by_device(facts: Facts, reading: Unknown | None) -> CheckResult:
    if evidence.works(facts):
        return MODULE.passed(say("A driver is at work behind /dev/kvm."))
    if reading is not None:
        return MODULE.unknown(reading)
    return MODULE.undecided(say("Nothing here tells whether the kernel has KVM."))


def _broken(facts: Facts, module: ModuleFacts) -> CheckResult:
    if module.state is ModuleState.ABSENT:
        return _absent(facts, module)
    if module.state in evidence.STANDING:
        return _refused(facts, module)
    if facts.modules.loadable is False:
        return MODULE.failed(
            say("{module} is not loaded, and this kernel takes no modules any more.", module=module.name),
            say("Restart, and see that nothing sets kernel.modules_disabled before KVM is loaded."),
            Cause.MODULE_REFUSED,
        )
    if module.blacklisted_by:
        return MODULE.failed(
            say(
                "{module} is not loaded: {place} keeps it out.",
                module=module.name,
                place=module.blacklisted_by,
            ),
            say(
                "Take the line that blacklists {module} out of {place}, then run `modprobe {module}` "
                "as root.",
                module=module.name,
                place=module.blacklisted_by,
            ),
            Cause.MODULE_BLACKLISTED,
        )
    if _refusal(facts):
        return _refused(facts, module)
    return MODULE.failed(
        say("{module} is there but not loaded.", module=module.name),
        say("Run `modprobe {module}` as root; the wizard's plan can do it.", module=module.name),
        Cause.MODULE_NOT_LOADED,
        Mend.LOAD_MODULE,
    )


def _absent(facts: Facts, module: ModuleFacts) -> CheckResult:
    options = known(facts.kernel.options, {})
    if options.get("KVM") == "y" or (not evidence.is_x86(facts) and _refusal(facts)):
        return _refused(facts, module)
    if not evidence.is_x86(facts) and "KVM" not in options:
        return MODULE.failed(
            say("There is no /dev/kvm: this kernel has no KVM, or it was not started where KVM can work."),
            say(
                "Look for “kvm” in the kernel's log. Where it speaks of HYP mode or hypervisor mode, the "
                "firmware or the hypervisor above must let the kernel start in it; otherwise install a "
                "kernel with KVM."
            ),
            Cause.NO_MODULE,
        )
    return MODULE.failed(
        say(
            "The running kernel ({release}) has no {module}.",
            release=known(facts.kernel.release, "?"),
            module=module.name,
        ),
        kernel_with_kvm(),
        Cause.NO_MODULE,
    )


def _refused(facts: Facts, module: ModuleFacts) -> CheckResult:
    line = _refusal(facts)
    if line:
        return MODULE.failed(
            say("{module} refused to start; the kernel's log says: {line}", module=module.name, line=line),
            say(
                "Put right what the line names; the firmware's setup and the hypervisor above are "
                "the usual places."
            ),
            Cause.MODULE_REFUSED,
        )
    remedy = say("Read what the kernel's log says of it: `dmesg | grep -i kvm`, as root.")
    log = facts.kernel.log_lines
    hidden = isinstance(log, Unknown) and log.unknown is UnknownReason.NOT_PERMITTED
    return MODULE.failed(
        say("{module} is in the kernel but offers no device: it refused to start.", module=module.name),
        AS_ROOT if hidden else remedy,
        Cause.MODULE_REFUSED,
    )


def _refusal(facts: Facts) -> str | None:
    """The last line of the kernel's log in which KVM declines to start."""
    lines = [
        line
        for line in known(facts.kernel.log_lines, ())
        if not line.startswith(("DMAR", "AMD-Vi")) and any(word.lower() in line.lower() for word in REFUSALS)
    ]
    return lines[-1].strip() if lines else None
