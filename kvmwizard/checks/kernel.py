"""What the kernel was built with, and whether guests may run guests."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Link, Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult
from kvmwizard.host.reading import Unknown, UnknownReason
from kvmwizard.words import Words, say

OPTIONS = Check(
    "kernel.options",
    say("Kernel options for KVM"),
    say("A kernel built without KVM cannot run guests, whatever is installed beside it."),
)
NESTED = Check(
    "nested",
    say("Nested guests"),
    say("With nesting a guest can be a KVM host itself; it is needed for nothing else."),
)

SHOWN_OPTIONS = ("KVM", "KVM_INTEL", "KVM_AMD", "KVM_PVM", "KVM_BOOK3S_64_HV", "VHOST_NET", "TUN")


def check_kernel(situation: Situation) -> tuple[CheckResult, ...]:
    """The options, then nesting."""
    return _options(situation), _nested(situation)


def kernel_with_kvm() -> Words:
    """What to do about a kernel that lacks KVM."""
    return say("Install the distribution's own kernel, which has KVM, and restart.")


def _options(situation: Situation) -> CheckResult:
    facts = situation.facts
    options = facts.kernel.options
    if isinstance(options, Unknown):
        if options.unknown is UnknownReason.NOT_SHOWN:
            return OPTIONS.not_applicable(say("This kernel's configuration is kept nowhere here."))
        return OPTIONS.unknown(options)
    if options.get("KVM", "n") == "n" and not evidence.works(facts):
        return OPTIONS.warned(
            say("The running kernel was built without KVM."),
            kernel_with_kvm(),
            Cause.KERNEL_OPTION,
        )
    shown = ", ".join(f"{name}={options[name]}" for name in SHOWN_OPTIONS if options.get(name, "n") != "n")
    if not shown:
        return OPTIONS.passed(say("KVM works; the configuration found does not name its options."))
    return OPTIONS.passed(
        say("{options} ({file})", options=shown, file=facts.kernel.configuration_source or "?")
    )


def _nested(situation: Situation) -> CheckResult:
    nested = situation.facts.modules.nested
    if waits := situation.waits_for(Link.DEVICE, NESTED):
        return waits
    if isinstance(nested, Unknown):
        if nested.unknown is UnknownReason.NOT_SHOWN:
            return NESTED.not_applicable(say("This kernel's KVM driver has no such setting."))
        return NESTED.unknown(nested)
    if nested:
        return NESTED.passed(say("Yes."))
    return NESTED.passed(say("No; the wizard can turn it on where guests are to run guests."))
