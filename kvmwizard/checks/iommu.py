"""The IOMMU, with which a PCI device can be handed to a guest."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult, Mend
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import Unknown, known
from kvmwizard.words import Words, say

PRESENT = Check("iommu.present", say("IOMMU"), say("It is needed only to hand PCI devices to guests."))
ENABLED = Check(
    "iommu.enabled",
    say("IOMMU in use"),
    say("Devices can be handed to guests only where the kernel has put them in IOMMU groups."),
)

AMD_VENDORS = ("AuthenticAMD", "HygonGenuine")
SWITCHED_OFF = ("intel_iommu=off", "amd_iommu=off", "iommu=off")


def check_iommu(situation: Situation) -> tuple[CheckResult, ...]:
    """Present in the machine, then enabled by the kernel."""
    present = _present(situation.facts)
    return present, _enabled(situation.facts)


def has_iommu(facts: Facts) -> bool | None:
    """Whether the machine has an IOMMU; None where nothing read decides it.

    Intel names it in the ACPI table DMAR, AMD in IVRS, ARM servers in IORT; every
    POWER machine has one, and on s390x PCI devices come with it.
    """
    iommu = facts.iommu
    if known(iommu.groups, 0) or known(iommu.units, ()):
        return True
    if evidence.is_power(facts):
        return True
    if facts.processor.architecture == "s390x":
        return None if isinstance(iommu.pci_devices, Unknown) else iommu.pci_devices > 0
    if isinstance(iommu.tables, Unknown):
        return None
    if evidence.is_x86(facts):
        return "DMAR" in iommu.tables or "IVRS" in iommu.tables
    if facts.processor.architecture == "aarch64":
        # IORT also describes machines whose interrupt controller alone it names.
        return False if "IORT" not in iommu.tables else None
    return None


def _present(facts: Facts) -> CheckResult:
    present = has_iommu(facts)
    if present:
        return PRESENT.passed(_present_words(facts))
    if present is None:
        if isinstance(facts.iommu.tables, Unknown):
            return PRESENT.unknown(facts.iommu.tables)
        return PRESENT.undecided(say("Nothing on this architecture tells it for certain."))
    if evidence.above(facts) or evidence.container(facts):
        return PRESENT.not_applicable(
            say("This system is itself a guest, and was given no IOMMU; guests run without.")
        )
    if facts.processor.architecture == "s390x":
        return PRESENT.not_applicable(say("There are no PCI devices that could be handed on."))
    if not evidence.is_x86(facts):
        return PRESENT.not_applicable(say("The firmware names none; guests run without."))
    return PRESENT.warned(
        say("The firmware names no IOMMU (neither DMAR nor IVRS)."), _firmware_remedy(facts), Cause.FIRMWARE
    )


def _present_words(facts: Facts) -> Words:
    tables = known(facts.iommu.tables, ())
    if tables:
        return say("The firmware names it in {tables}.", tables=", ".join(tables))
    return say("It is there.")


def _firmware_remedy(facts: Facts) -> Words:
    if known(facts.processor.vendor, "") in AMD_VENDORS:
        return say("To hand PCI devices to guests, turn on IOMMU (AMD-Vi) in the firmware's setup.")
    return say("To hand PCI devices to guests, turn on VT-d in the firmware's setup.")


def _enabled(facts: Facts) -> CheckResult:
    groups = facts.iommu.groups
    if has_iommu(facts) is False:
        return ENABLED.not_applicable(say("There is no IOMMU here to enable."))
    if isinstance(groups, Unknown):
        return ENABLED.unknown(groups)
    if groups:
        return ENABLED.passed(say("{groups} groups.", groups=groups))
    if has_iommu(facts) is None:
        return ENABLED.not_applicable(
            say("The kernel has no IOMMU groups, and whether there is an IOMMU is not known.")
        )
    if not evidence.is_x86(facts):
        return ENABLED.warned(
            say("The kernel has put no device in a group."), _look_at_log(), Cause.KERNEL_OPTION
        )
    return _enable_by_command_line(facts)


def _enable_by_command_line(facts: Facts) -> CheckResult:
    switched_off = [word for word in facts.iommu.parameters if word in SWITCHED_OFF]
    if switched_off:
        return ENABLED.warned(
            say("The kernel's command line switches it off: {word}.", word=switched_off[0]),
            say("Take {word} off the kernel's command line and restart.", word=switched_off[0]),
            Cause.KERNEL_OPTION,
        )
    if "IVRS" in known(facts.iommu.tables, ()):
        return ENABLED.warned(
            say("The kernel does not use it, though it should by itself."), _look_at_log(), Cause.FIRMWARE
        )
    if "intel_iommu=on" in facts.iommu.parameters:
        return ENABLED.warned(
            say("The kernel was told to use it (intel_iommu=on) and does not."),
            _look_at_log(),
            Cause.FIRMWARE,
        )
    return ENABLED.warned(
        say("The kernel does not use it."),
        say("To hand PCI devices to guests, start the kernel with intel_iommu=on."),
        Cause.KERNEL_OPTION,
        Mend.ENABLE_IOMMU if boot_line_can_be_set(facts) else None,
    )


def boot_line_can_be_set(facts: Facts) -> bool:
    """Whether the wizard's plan can set the kernel's command line: GRUB as Debian's family has it.

    /etc/default/grub.d and update-grub(8) are Debian's own addition to GRUB.
    """
    distribution = facts.distribution
    return distribution.boot_loader == "grub" and "debian" in (distribution.id, *distribution.like)


def _look_at_log() -> Words:
    return say("Look at `dmesg | grep -i -e iommu -e dmar`, as root, and at the firmware's setup.")
