"""The engine's slow parts, for worker threads: reading and judging the machine, and asking for offers."""

from kvmwizard.checks.judge import judge
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.packages.offers import kernel_offer, qemu_offer
from screens.state import Machine, Offers


def read_machine(host: Host | None) -> Machine:
    """Read the machine and judge it; takes up to a second or so."""
    facts = gather(host or Host())
    return Machine(facts=facts, results=judge(facts))


def read_offers(machine: Machine) -> Offers:
    """Ask the package manager what it offers; takes up to a few seconds."""
    return Offers(kernel=kernel_offer(machine.facts), qemu=qemu_offer(machine.facts))
