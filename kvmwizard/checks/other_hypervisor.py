"""VirtualBox, VMware and their like, which want the same processor extension."""

from kvmwizard.checks.chain import Link, Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.evidence import STANDING
from kvmwizard.checks.results import Cause, CheckResult
from kvmwizard.host.facts import Facts
from kvmwizard.words import Words, say

OTHER = Check(
    "other_hypervisor",
    say("Other hypervisors"),
    say("Only one hypervisor at a time can hold the processor's virtualization."),
)

PRODUCTS = {"vboxdrv": "VirtualBox", "vmmon": "VMware"}


def check_other_hypervisor(situation: Situation) -> tuple[CheckResult, ...]:
    """Whether another hypervisor holds the extension, or could come to."""
    return (_other(situation),)


def _other(situation: Situation) -> CheckResult:
    facts = situation.facts
    module = _loaded_module(facts)
    if situation.broken is Link.OTHER_HYPERVISOR:
        return OTHER.failed(_holder(module), _remedy(module), Cause.OTHER_HYPERVISOR)
    if module is None:
        return OTHER.passed(say("Neither VirtualBox's nor VMware's module is loaded."))
    product = PRODUCTS[module]
    if facts.modules.enable_virt_at_load is True:
        return OTHER.warned(
            say(
                "{product}'s module {module} is loaded. This kernel's KVM holds the processor's "
                "virtualization from the start, so guests of {product} will fail.",
                product=product,
                module=module,
            ),
            say(
                "To run guests of {product} too, start the kernel with kvm.enable_virt_at_load=0.",
                product=product,
            ),
        )
    return OTHER.warned(
        say(
            "{product}'s module {module} is loaded; while a guest of {product} runs, none of KVM can.",
            product=product,
            module=module,
        ),
        say("Shut down the guests of {product} before starting one of KVM.", product=product),
    )


def _loaded_module(facts: Facts) -> str | None:
    modules = facts.modules.modules
    return next((name for name in PRODUCTS if name in modules and modules[name].state in STANDING), None)


def _holder(module: str | None) -> Words:
    if module is None:
        return say("Something else holds the processor's virtualization: the kernel says that it is busy.")
    return say(
        "{product} (module {module}) holds the processor's virtualization: the kernel says that it is busy.",
        product=PRODUCTS[module],
        module=module,
    )


def _remedy(module: str | None) -> Words:
    if module is None:
        return say("Find the other hypervisor's module with `lsmod`, end its guests, and unload it.")
    return say(
        "Shut down the guests of {product}, then run `modprobe -r {module}` as root.",
        product=PRODUCTS[module],
        module=module,
    )
