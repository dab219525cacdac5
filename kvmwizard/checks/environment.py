"""Where the system runs, and which policies watch over it: things to know, not faults."""

from kvmwizard.checks.chain import Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import CheckResult
from kvmwizard.host.reading import Unknown
from kvmwizard.host.security import SelinuxMode
from kvmwizard.words import say

HYPERVISOR = Check(
    "environment.hypervisor",
    say("Hypervisor above"),
    say("Inside another hypervisor, guests run only if it passes the processor's virtualization on."),
)
CONTAINER = Check(
    "environment.container",
    say("Container"),
    say("A container can neither load modules nor make devices; the machine outside must."),
)
POLICY = Check(
    "security.policy",
    say("SELinux and AppArmor"),
    say("Their rules for libvirt know the distribution's QEMU; a QEMU elsewhere needs a rule of its own."),
)


def check_environment(situation: Situation) -> tuple[CheckResult, ...]:
    """What is above, what is around."""
    return _hypervisor(situation), _container(situation)


def check_policy(situation: Situation) -> tuple[CheckResult, ...]:
    """Mandatory access control."""
    return (_policy(situation),)


def _hypervisor(situation: Situation) -> CheckResult:
    hypervisor = situation.facts.environment.hypervisor
    if isinstance(hypervisor, Unknown):
        return HYPERVISOR.unknown(hypervisor)
    if hypervisor is None:
        return HYPERVISOR.passed(say("There is none: this is the machine itself."))
    return HYPERVISOR.passed(
        say("This system is a guest itself ({hypervisor}); its guests are nested.", hypervisor=hypervisor)
    )


def _container(situation: Situation) -> CheckResult:
    container = situation.facts.environment.container
    if isinstance(container, Unknown):
        return CONTAINER.unknown(container)
    if container is None:
        return CONTAINER.passed(say("This is not a container."))
    return CONTAINER.passed(
        say("This is a container ({container}): modules and devices come from outside.", container=container)
    )


def _policy(situation: Situation) -> CheckResult:
    security = situation.facts.security
    if isinstance(security.selinux, Unknown):
        return POLICY.unknown(security.selinux)
    if isinstance(security.apparmor, Unknown):
        return POLICY.unknown(security.apparmor)
    if security.selinux is SelinuxMode.ENFORCING:
        return POLICY.passed(say("SELinux enforces its rules; the distribution's QEMU is covered."))
    if security.apparmor:
        return POLICY.passed(say("AppArmor is on; the distribution's QEMU is covered."))
    return POLICY.passed(say("Neither enforces anything here."))
