"""Which package manager a machine has."""

from kvmwizard.host.distribution import DistributionFacts
from kvmwizard.packages.apk import Apk
from kvmwizard.packages.apt import Apt
from kvmwizard.packages.dnf import Dnf
from kvmwizard.packages.pacman import Pacman
from kvmwizard.packages.protocol import PackageManager
from kvmwizard.packages.zypper import Zypper

MANAGERS: dict[str, PackageManager] = {
    manager.name: manager for manager in (Apt(), Dnf("dnf"), Dnf("yum"), Zypper(), Pacman(), Apk())
}


def package_manager(distribution: DistributionFacts) -> PackageManager | None:
    """The one whose program is there; None where there is none that we know."""
    name = distribution.package_manager
    return MANAGERS.get(name) if isinstance(name, str) else None
