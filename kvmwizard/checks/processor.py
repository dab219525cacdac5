"""The processor: does it virtualize, with second-level paging, as far as its flags tell."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Link, Situation, flags_on_some
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult
from kvmwizard.host.facts import Facts
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.reading import Unknown
from kvmwizard.words import Words, say

VIRTUALIZATION = Check(
    "processor.virtualization",
    say("Processor virtualization"),
    say("KVM runs guests on the processor itself, which needs VT-x, AMD-V or their like."),
)
PAGING = Check(
    "processor.second_level_paging",
    say("Second-level paging"),
    say("With EPT or NPT the processor maps a guest's memory itself; without, guests run much slower."),
)

EXTENSION_NAMES = {
    VirtualizationExtension.VMX: "Intel VT-x (vmx)",
    VirtualizationExtension.SVM: "AMD-V (svm)",
    VirtualizationExtension.SIE: "SIE (sie)",
}

NESTING_REMEDIES = {
    "kvm": say(
        "On the host above, load kvm_intel or kvm_amd with nested=1 and start this guest with `-cpu host`; "
        "in a cloud, choose a machine type that offers nested virtualization."
    ),
    "vmware": say(
        "Shut this guest down and turn on “Virtualize Intel VT-x/EPT or AMD-V/RVI” in its processor settings."
    ),
    "hyperv": say(
        "Shut this guest down and run `Set-VMProcessor -VMName NAME -ExposeVirtualizationExtensions "
        "$true` on the host above."
    ),
    "virtualbox": say(
        "Shut this guest down and run `VBoxManage modifyvm NAME --nested-hw-virt on` on the host above."
    ),
}
NESTING_REMEDY = say(
    "Ask for nested virtualization where this guest is configured, or choose a machine type that offers it."
)


def check_processor(situation: Situation) -> tuple[CheckResult, ...]:
    """Virtualization, then second-level paging."""
    return _virtualization(situation), _paging(situation)


def nesting_remedy(hypervisor: str) -> Words:
    """How the hypervisor above is told to let its guest run guests."""
    return NESTING_REMEDIES.get(hypervisor, NESTING_REMEDY)


def _virtualization(situation: Situation) -> CheckResult:
    facts = situation.facts
    extension = facts.processor.extension
    if situation.broken is Link.PROCESSOR:
        return _missing(situation)
    if situation.broken is Link.FIRMWARE and extension is VirtualizationExtension.NONE:
        return VIRTUALIZATION.not_applicable(
            say(
                "The kernel hides the flag where the firmware has switched it off, so the firmware "
                "comes first."
            )
        )
    if evidence.is_power(facts):
        return VIRTUALIZATION.passed(say("Every POWER processor that Linux runs on can be virtualized."))
    if isinstance(extension, Unknown):
        return _not_shown(situation, extension)
    if extension is VirtualizationExtension.NONE:
        return _function_without_flag(situation)
    return _shown(situation, extension)


def _shown(situation: Situation, extension: VirtualizationExtension) -> CheckResult:
    processors = situation.facts.processor.processors
    name = EXTENSION_NAMES[extension]
    if isinstance(processors, Unknown):
        return VIRTUALIZATION.passed(say("The processor shows {extension}.", extension=name))
    return VIRTUALIZATION.passed(
        say("{extension}, on all of {processors} processors.", extension=name, processors=processors)
    )


def _not_shown(situation: Situation, extension: Unknown) -> CheckResult:
    if evidence.is_x86(situation.facts) or situation.facts.processor.architecture == "s390x":
        if evidence.works(situation.facts):
            return VIRTUALIZATION.passed(
                say("It could not be read, but KVM works, so the processor virtualizes.")
            )
        return VIRTUALIZATION.unknown(extension)
    return VIRTUALIZATION.not_applicable(
        say(
            "No processor flag shows it on {architecture}; only /dev/kvm can tell.",
            architecture=situation.facts.processor.architecture,
        )
    )


def _function_without_flag(situation: Situation) -> CheckResult:
    """The flags say no and the function says yes: function decides, and the reader is told why."""
    facts = situation.facts
    pvm = evidence.expected_driver(facts) == "kvm_pvm"
    if evidence.guest_ran(facts) and pvm:
        found = say(
            "The processor shows neither vmx nor svm, yet a guest ran: this kernel's KVM is kvm_pvm, "
            "which needs neither."
        )
    elif evidence.guest_ran(facts):
        found = say(
            "The processor shows neither vmx nor svm, yet a guest ran through /dev/kvm. What runs counts "
            "for more than the flags; this kernel's KVM does without them, or they are hidden."
        )
    elif pvm:
        found = say(
            "The processor shows neither vmx nor svm, but this kernel's KVM is kvm_pvm, which needs neither."
        )
    else:
        found = say("The processor shows neither vmx nor svm, yet a KVM driver stands behind /dev/kvm.")
    return VIRTUALIZATION.passed(found)


def _missing(situation: Situation) -> CheckResult:
    facts = situation.facts
    hypervisor = evidence.above(facts)
    if hypervisor:
        found = say(
            "This system is itself a guest ({hypervisor}), and the hypervisor above does not pass the "
            "processor's virtualization on.",
            hypervisor=hypervisor,
        )
        return VIRTUALIZATION.failed(found, nesting_remedy(hypervisor), Cause.NO_NESTING)
    if flags_on_some(facts):
        return VIRTUALIZATION.failed(
            say(
                "Only some of the processors show virtualization; the firmware has not set them all up alike."
            ),
            say("Update the firmware, or load its default settings and turn virtualization on again."),
            Cause.FIRMWARE,
        )
    if isinstance(facts.firmware.virtualization, Unknown):
        return VIRTUALIZATION.failed(
            say(
                "The processor shows neither vmx nor svm. It cannot virtualize, or the firmware has switched "
                "it off, which Linux since 5.6 shows in the same way."
            ),
            say(
                "Look in the firmware's setup for Intel Virtualization Technology (VT-x) or SVM Mode and "
                "turn it on; if there is no such entry, use another machine."
            ),
            Cause.NO_PROCESSOR_SUPPORT,
        )
    return VIRTUALIZATION.failed(
        _none_words(facts),
        say(
            "Use a machine whose processor has VT-x or AMD-V; QEMU here can only emulate, many times slower."
        ),
        Cause.NO_PROCESSOR_SUPPORT,
    )


def _none_words(facts: Facts) -> Words:
    model = facts.processor.model_name
    if isinstance(model, Unknown):
        return say("This processor has no virtualization extension.")
    return say("{model} has no virtualization extension.", model=model)


def _paging(situation: Situation) -> CheckResult:
    facts = situation.facts
    if not evidence.is_x86(facts):
        return PAGING.not_applicable(say("It is part of virtualization on this architecture."))
    if situation.broken is Link.PROCESSOR:
        return PAGING.not_applicable(say("The processor's virtualization comes first."))
    if facts.processor.extension is VirtualizationExtension.NONE:
        return PAGING.not_applicable(
            say("The processor shows no virtualization of its own, so it cannot show this.")
        )
    if facts.modules.ept is False:
        return PAGING.warned(
            say("It is switched off by the KVM module's parameter ept or npt."),
            say("Remove ept=0 or npt=0 from the files in /etc/modprobe.d, then restart."),
        )
    paging = facts.processor.second_level_paging
    if isinstance(paging, Unknown):
        return PAGING.unknown(paging)
    if not paging:
        return PAGING.warned(
            say("The processor has neither EPT nor NPT."),
            say("Nothing need be done for guests to run; expect them to be slow."),
        )
    return PAGING.passed(say("The processor has it, and KVM may use it."))
