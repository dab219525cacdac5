"""Where the system runs: on bare metal, in a guest, in a container."""

from kvmwizard.host.reading import FactModel, Reading


class EnvironmentFacts(FactModel):
    """The hypervisor above and the container around, if any."""

    hypervisor: Reading[str | None]
    """kvm, pvm, vmware, hyperv, xen, virtualbox, firecracker, unnamed …; None on bare metal."""
    container: Reading[str | None]
    """docker, podman, lxc, systemd-nspawn, wsl …; None outside of one."""
    boot_id: Reading[str]
    """/proc/sys/kernel/random/boot_id."""
