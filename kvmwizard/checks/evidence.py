"""What shows that KVM works, from the strongest evidence to the weakest.

A guest that ran outweighs everything; then a device that answered; then a driver
that stands. Processor flags come last: some drivers need none, and some machines
show them and refuse nevertheless.
"""

from kvmwizard.host import processor
from kvmwizard.host.facts import Facts
from kvmwizard.host.kvm_device import GuestRun, OpenOutcome
from kvmwizard.host.modules import ModuleFacts, ModuleState
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.reading import Unknown, UnknownReason, known

API_VERSION = 12
"""The only version that programs accept (Documentation/virt/kvm/api.rst, 4.1)."""

VENDOR_DRIVERS = {
    "GenuineIntel": "kvm_intel",
    "CentaurHauls": "kvm_intel",
    "AuthenticAMD": "kvm_amd",
    "HygonGenuine": "kvm_amd",
}
EXTENSION_DRIVERS = {VirtualizationExtension.VMX: "kvm_intel", VirtualizationExtension.SVM: "kvm_amd"}
STANDING = (ModuleState.LOADED, ModuleState.BUILT_IN)


def is_x86(facts: Facts) -> bool:
    """Whether flags of the processor show the virtualization extension as vmx or svm."""
    return processor.is_x86(facts.processor.architecture)


def is_power(facts: Facts) -> bool:
    """Whether this is a POWER machine, big or little endian."""
    return facts.processor.architecture.startswith("ppc64")


def guest_ran(facts: Facts) -> bool:
    """Whether our own guest really ran."""
    return isinstance(facts.kvm.guest, GuestRun) and facts.kvm.guest.ran


def guest_failed(facts: Facts) -> bool:
    """Whether our own guest was tried and did not run to its end."""
    if isinstance(facts.kvm.guest, Unknown):
        return facts.kvm.guest.unknown is UnknownReason.TIMED_OUT
    return not facts.kvm.guest.ran


def device_answers(facts: Facts) -> bool:
    """Whether a driver stands behind /dev/kvm: it opened, or told its version.

    A node alone shows nothing, since static nodes exist before any module is loaded
    (kmod(8), `kmod static-nodes`).
    """
    return facts.kvm.opened is OpenOutcome.OPENED or not isinstance(facts.kvm.api_version, Unknown)


def node_exists(facts: Facts) -> bool | None:
    """Whether /dev/kvm is there; None where that could not be learnt."""
    if isinstance(facts.kvm.node, Unknown):
        return None
    return facts.kvm.node is not None


def above(facts: Facts) -> str | None:
    """The hypervisor that this system is a guest of; None on bare metal or where unknown."""
    name = known(facts.environment.hypervisor, None)
    if name is None and "hypervisor" in known(facts.processor.flags, ()):
        return "unnamed"
    return name


def container(facts: Facts) -> str | None:
    """The container around this system; None outside of one or where unknown."""
    return known(facts.environment.container, None)


def drivers(facts: Facts) -> tuple[str, ...]:
    """The modules that could offer /dev/kvm on this architecture."""
    if is_x86(facts):
        return ("kvm_intel", "kvm_amd", "kvm_pvm")
    return ("kvm_hv", "kvm") if is_power(facts) else ("kvm",)


def driver(facts: Facts) -> ModuleFacts | None:
    """The module that offers /dev/kvm here, or that would have to."""
    modules = facts.modules.modules
    candidates = [modules[name] for name in drivers(facts) if name in modules]
    standing = [module for module in candidates if module.state in STANDING]
    if standing:
        return standing[0]
    return modules.get(expected_driver(facts))


def expected_driver(facts: Facts) -> str:
    """The name of the module that this processor needs."""
    if not is_x86(facts):
        return drivers(facts)[0]
    extension = facts.processor.extension
    if isinstance(extension, VirtualizationExtension) and extension in EXTENSION_DRIVERS:
        return EXTENSION_DRIVERS[extension]
    if needs_no_extension(facts):
        return "kvm_pvm"
    return VENDOR_DRIVERS.get(known(facts.processor.vendor, ""), "kvm_intel")


def needs_no_extension(facts: Facts) -> bool:
    """Whether this kernel has kvm_pvm, which runs guests without vmx or svm."""
    pvm = facts.modules.modules.get("kvm_pvm")
    return pvm is not None and pvm.state in (*STANDING, ModuleState.AVAILABLE)


def driver_stands(facts: Facts) -> bool:
    """Whether a KVM driver is at work, which it only is where processor and firmware let it.

    A module stays loaded only if it found what it needs. What is built in stays in any
    case, but makes its device only then. Where the module cannot be seen, a device is
    taken for a driver's.
    """
    if facts.kvm.opened is OpenOutcome.NO_DEVICE:
        return False
    module = driver(facts)
    state = module.state if module else None
    if state is ModuleState.LOADED:
        return True
    return bool(node_exists(facts)) and state is not ModuleState.AVAILABLE


def works(facts: Facts) -> bool:
    """Whether processor and firmware are shown to be good by what runs on them."""
    return guest_ran(facts) or device_answers(facts) or driver_stands(facts)
