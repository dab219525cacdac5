"""Guests whose memory the host cannot read: AMD SEV and IBM Secure Execution."""

from kvmwizard.checks.chain import Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import Unknown, known
from kvmwizard.words import say

SUPPORT = Check(
    "secure_guest.support",
    say("Encrypted guests"),
    say(
        "SEV, or Secure Execution on IBM Z, hides guests' memory from the host; ordinary guests need "
        "none of it."
    ),
)
SEV_ES = Check(
    "secure_guest.sev_es",
    say("Encrypted registers"),
    say("SEV-ES hides guests' registers from the host too; ordinary guests need none of it."),
)
SEV_SNP = Check(
    "secure_guest.sev_snp",
    say("Protected guest memory"),
    say("SEV-SNP keeps the host from changing guests' memory; ordinary guests need none of it."),
)

ON = ("Y", "1")
PROTECTED_VIRTUALIZATION_FACILITY = "158"
"""STFLE bit of the ultravisor-call facility (Documentation/virt/kvm/s390/s390-pv-boot.rst)."""


def check_secure_guest(situation: Situation) -> tuple[CheckResult, ...]:
    """Support, then the two later stages of SEV."""
    facts = situation.facts
    support = _secure_execution(facts) if facts.processor.architecture == "s390x" else _sev(facts)
    return support, _stage(facts, SEV_ES, "sev_es"), _stage(facts, SEV_SNP, "sev_snp")


def _sev(facts: Facts) -> CheckResult:
    flags = facts.processor.flags
    if isinstance(flags, Unknown):
        return SUPPORT.unknown(flags)
    if "sev" not in flags:
        return SUPPORT.not_applicable(say("This processor shows no SEV, and ordinary guests need none."))
    kvm_amd = facts.modules.modules.get("kvm_amd")
    if kvm_amd is None or kvm_amd.parameters.get("sev") not in ON:
        return SUPPORT.warned(
            say("The processor has SEV, and the module kvm_amd does not use it."),
            say(
                "Where guests are to be encrypted, load kvm_amd with sev=1; the firmware's setup "
                "must allow it too."
            ),
            Cause.KERNEL_OPTION,
        )
    if isinstance(facts.kvm.sev, Unknown):
        return SUPPORT.unknown(facts.kvm.sev)
    if not facts.kvm.sev:
        return SUPPORT.warned(
            say("The processor and kvm_amd have SEV, but the device /dev/sev is not there."),
            say("Load the module ccp, and turn on SEV in the firmware's setup."),
            Cause.FIRMWARE,
        )
    return SUPPORT.passed(say("SEV can be used."))


def _stage(facts: Facts, check: Check, flag: str) -> CheckResult:
    flags = facts.processor.flags
    if isinstance(flags, Unknown):
        return check.unknown(flags)
    if flag not in flags:
        return check.not_applicable(
            say("This processor does not show it, and ordinary guests need none of it.")
        )
    return check.passed(say("The processor has it."))


def _secure_execution(facts: Facts) -> CheckResult:
    flags = known(facts.processor.flags, ())
    if PROTECTED_VIRTUALIZATION_FACILITY not in flags:
        return SUPPORT.not_applicable(
            say("This machine has no Secure Execution, and ordinary guests need none.")
        )
    command_line = facts.kernel.command_line
    if isinstance(command_line, Unknown):
        return SUPPORT.unknown(command_line)
    if any(
        word.lower() in {f"prot_virt={value}" for value in ("1", "y", "yes", "on")} for word in command_line
    ):
        return SUPPORT.passed(say("Secure Execution can be used."))
    return SUPPORT.warned(
        say("The machine has Secure Execution, and the kernel does not use it."),
        say("Where guests are to be protected, start the kernel with prot_virt=1."),
        Cause.KERNEL_OPTION,
    )
