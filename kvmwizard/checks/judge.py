"""Facts in, results out."""

from collections.abc import Iterable

from kvmwizard.checks.access import check_access
from kvmwizard.checks.cgroups import check_cgroups
from kvmwizard.checks.chain import situation_of
from kvmwizard.checks.environment import check_environment, check_policy
from kvmwizard.checks.firmware import check_firmware, check_secure_boot
from kvmwizard.checks.iommu import check_iommu
from kvmwizard.checks.kernel import check_kernel
from kvmwizard.checks.kvm_device import check_device_exists, check_device_works
from kvmwizard.checks.kvm_module import check_module
from kvmwizard.checks.network import check_network
from kvmwizard.checks.other_hypervisor import check_other_hypervisor
from kvmwizard.checks.processor import check_processor
from kvmwizard.checks.resources import check_resources
from kvmwizard.checks.results import CheckResult, Outcome
from kvmwizard.checks.secure_guest import check_secure_guest
from kvmwizard.host.facts import Facts

SUBJECTS = (
    check_processor,
    check_firmware,
    check_environment,
    check_module,
    check_device_exists,
    check_other_hypervisor,
    check_device_works,
    check_access,
    check_resources,
    check_network,
    check_iommu,
    check_kernel,
    check_secure_boot,
    check_policy,
    check_cgroups,
    check_secure_guest,
)


def judge(facts: Facts, user: str | None = None) -> tuple[CheckResult, ...]:
    """Every check, always the same ids in the same order, whatever the machine.

    `user` is whom guests are for, by default the person that `facts` name. Pure:
    the same facts always give the same results.
    """
    situation = situation_of(facts, user)
    return tuple(result for check in SUBJECTS for result in check(situation))


def is_ready(results: Iterable[CheckResult]) -> bool:
    """Whether KVM guests can run for the user in question: no check failed."""
    return all(result.outcome is not Outcome.FAIL for result in results)
