"""The firmware: virtualization locked off, Secure Boot, and the kernel's lockdown."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Link, Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.processor import nesting_remedy
from kvmwizard.checks.results import Cause, CheckResult
from kvmwizard.host.firmware import FirmwareLock
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.reading import Unknown, UnknownReason, known
from kvmwizard.words import Words, say

VIRTUALIZATION = Check(
    "firmware.virtualization",
    say("Firmware setting"),
    say("The firmware can lock virtualization off, and then only its own setup can turn it on."),
)
SECURE_BOOT = Check(
    "secure_boot",
    say("Secure Boot"),
    say("Under Secure Boot only signed kernels start and only signed modules load."),
)
LOCKDOWN = Check(
    "lockdown",
    say("Kernel lockdown"),
    say("A locked-down kernel refuses unsigned modules and reading the processor's registers."),
)

SETUP_ENTRIES = {
    "kvm_intel": say(
        "Restart into the firmware's setup, turn on Intel Virtualization Technology (VT-x), save, and power "
        "the machine off and on."
    ),
    "kvm_amd": say(
        "Restart into the firmware's setup, turn on SVM Mode (AMD-V), save, and power the machine off and on."
    ),
}


def check_firmware(situation: Situation) -> tuple[CheckResult, ...]:
    """The lock on virtualization alone; it is a link of the chain."""
    return (_virtualization(situation),)


def check_secure_boot(situation: Situation) -> tuple[CheckResult, ...]:
    """What a new kernel or module will meet at the next start."""
    return _secure_boot(situation), _lockdown(situation)


def _virtualization(situation: Situation) -> CheckResult:
    facts = situation.facts
    lock = facts.firmware.virtualization
    if not evidence.is_x86(facts):
        return VIRTUALIZATION.not_applicable(say("There is no such switch on this architecture."))
    if situation.broken is Link.FIRMWARE:
        return _locked_off(situation)
    if waits := situation.waits_for(Link.FIRMWARE, VIRTUALIZATION):
        return waits
    if evidence.guest_ran(facts):
        return VIRTUALIZATION.passed(say("A guest ran, so nothing in the firmware stands in the way."))
    if evidence.works(facts):
        return VIRTUALIZATION.passed(say("The kernel's KVM driver is at work, so the firmware lets it."))
    if isinstance(lock, Unknown):
        return VIRTUALIZATION.unknown(lock)
    if lock is FirmwareLock.UNLOCKED:
        return VIRTUALIZATION.passed(say("The firmware leaves it to the kernel, which turns it on itself."))
    return VIRTUALIZATION.passed(say("The firmware has turned it on."))


def _locked_off(situation: Situation) -> CheckResult:
    facts = situation.facts
    hypervisor = evidence.above(facts)
    if hypervisor:
        return VIRTUALIZATION.failed(
            say(
                "This system is itself a guest ({hypervisor}); its virtual firmware keeps virtualization "
                "locked off.",
                hypervisor=hypervisor,
            ),
            nesting_remedy(hypervisor),
            Cause.NO_NESTING,
        )
    return VIRTUALIZATION.failed(_where_it_is_said(situation), _setup_remedy(situation), Cause.FIRMWARE)


def _where_it_is_said(situation: Situation) -> Words:
    firmware = situation.facts.firmware
    if firmware.virtualization_source == "msr" and firmware.registers:
        return say(
            "The firmware has locked virtualization off (register of the first processor: {register}).",
            register=firmware.registers[0],
        )
    return say("The firmware has locked virtualization off, says the kernel's log.")


def _setup_remedy(situation: Situation) -> Words:
    facts = situation.facts
    svm = facts.processor.extension is VirtualizationExtension.SVM
    vendor_driver = evidence.VENDOR_DRIVERS.get(known(facts.processor.vendor, ""), "kvm_intel")
    return SETUP_ENTRIES["kvm_amd" if svm else vendor_driver]


def _secure_boot(situation: Situation) -> CheckResult:
    firmware = situation.facts.firmware
    if firmware.uefi is False:
        return SECURE_BOOT.not_applicable(say("This machine did not start by UEFI."))
    if isinstance(firmware.secure_boot, Unknown):
        return SECURE_BOOT.unknown(firmware.secure_boot)
    if firmware.secure_boot:
        return SECURE_BOOT.passed(
            say("On: the distribution's signed kernels start; a kernel without a signature will not.")
        )
    return SECURE_BOOT.passed(say("Off: any kernel starts."))


def _lockdown(situation: Situation) -> CheckResult:
    lockdown = situation.facts.firmware.lockdown
    if isinstance(lockdown, Unknown) and lockdown.unknown is UnknownReason.NOT_SHOWN:
        return LOCKDOWN.not_applicable(say("This kernel shows no lockdown."))
    if isinstance(lockdown, Unknown):
        return LOCKDOWN.unknown(lockdown)
    if lockdown == "none":
        return LOCKDOWN.passed(say("Off."))
    return LOCKDOWN.passed(say("On ({level}): unsigned modules are refused.", level=lockdown))
