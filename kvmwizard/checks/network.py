"""What the network of guests goes through: vhost-net and tap devices."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult, Mend
from kvmwizard.host.facts import Facts
from kvmwizard.host.kvm_device import DeviceNode
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.reading import Reading, Unknown
from kvmwizard.words import Words, say

VHOST_NET = Check(
    "network.vhost_net",
    say("Guest network (vhost-net)"),
    say(
        "With /dev/vhost-net the kernel moves guests' packets itself; guests run without it, with a "
        "slower network."
    ),
)
TUN = Check(
    "network.tun",
    say("Tap devices (tun)"),
    say("Bridged guest networks need /dev/net/tun; QEMU's built-in user network works without."),
)


def check_network(situation: Situation) -> tuple[CheckResult, ...]:
    """vhost-net, then tun; neither keeps a guest from running."""
    facts = situation.facts
    return (
        _device(facts, VHOST_NET, facts.kvm.vhost_net, "vhost_net"),
        _device(facts, TUN, facts.kvm.tun, "tun"),
    )


def _device(facts: Facts, check: Check, node: Reading[DeviceNode | None], module: str) -> CheckResult:
    if isinstance(node, Unknown):
        return check.unknown(node)
    if node is not None:
        return check.passed(say("The device is there."))
    container = evidence.container(facts)
    if container:
        return check.warned(
            say("This is a container ({container}), and it was not given the device.", container=container),
            say("Where guests need it, let whoever runs the container hand the device in."),
            Cause.CONTAINER,
        )
    found, remedy, cause, mend = _by_module(facts, module)
    return check.warned(found, remedy, cause, mend)


def _by_module(facts: Facts, module: str) -> tuple[Words, Words, Cause, Mend | None]:
    known_module = facts.modules.modules.get(module)
    state = known_module.state if known_module else None
    if state is ModuleState.AVAILABLE and facts.modules.loadable is not False:
        return (
            say("The module {module} is not loaded.", module=module),
            say("Run `modprobe {module}` as root; the wizard's plan can do it.", module=module),
            Cause.MODULE_NOT_LOADED,
            Mend.LOAD_MODULE,
        )
    if state is ModuleState.ABSENT:
        return (
            say("This kernel has no {module}.", module=module),
            say("Nothing need be done for guests to run; the distribution's own kernel has it."),
            Cause.NO_MODULE,
            None,
        )
    return (
        say("The device is not there."),
        say("Run `modprobe {module}` as root where guests need it.", module=module),
        Cause.NO_DEVICE,
        None,
    )
