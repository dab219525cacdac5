"""Control groups, with which libvirt and its like limit guests."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult
from kvmwizard.host.cgroups import CgroupLayout
from kvmwizard.host.reading import Unknown
from kvmwizard.words import say

WHY = say("libvirt limits guests by it; QEMU run by hand needs none.")

CONTROLLERS = {
    "cpu": Check("cgroup.cpu", say("Control group cpu"), WHY),
    "cpuacct": Check("cgroup.cpuacct", say("Control group cpuacct"), WHY),
    "cpuset": Check("cgroup.cpuset", say("Control group cpuset"), WHY),
    "memory": Check("cgroup.memory", say("Control group memory"), WHY),
    "devices": Check("cgroup.devices", say("Control group devices"), WHY),
    "blkio": Check("cgroup.blkio", say("Control group blkio"), WHY),
}


def check_cgroups(situation: Situation) -> tuple[CheckResult, ...]:
    """Each controller by its name of version 1, whatever the version mounted."""
    return tuple(_controller(situation, name, check) for name, check in CONTROLLERS.items())


def _controller(situation: Situation, name: str, check: Check) -> CheckResult:
    cgroups = situation.facts.cgroups
    if cgroups.layout is CgroupLayout.NONE:
        return check.not_applicable(say("No control groups are mounted here, and guests run without."))
    if isinstance(cgroups.controllers, Unknown):
        return check.unknown(cgroups.controllers)
    if name in cgroups.controllers:
        return check.passed(say("It is there."))
    if evidence.container(situation.facts):
        return check.not_applicable(
            say("It is not shown inside this container; the machine outside keeps it.")
        )
    if name == "memory":
        remedy = say("Start the kernel with cgroup_enable=memory where libvirt is to limit guests' memory.")
    else:
        remedy = say("Nothing need be done unless libvirt is to limit guests by it; then mount or enable it.")
    return check.warned(
        say("The kernel does not offer it, or it is not mounted."), remedy, Cause.KERNEL_OPTION
    )
