"""Kernel modules that KVM and its guests use, and their parameters."""

from enum import StrEnum

from kvmwizard.host.reading import FactModel, Reading


class ModuleState(StrEnum):
    """How a module stands."""

    LOADED = "loaded"
    BUILT_IN = "built-in"
    AVAILABLE = "available"
    """A file for the running kernel exists; not loaded."""
    ABSENT = "absent"


class ModuleFacts(FactModel):
    """One module. Names are written with underscores."""

    name: str
    state: Reading[ModuleState]
    blacklisted_by: str | None
    """The modprobe configuration file or kernel parameter that keeps it from loading by alias."""
    parameters: dict[str, str]
    """/sys/module/NAME/parameters/*, as printed."""


class ModulesFacts(FactModel):
    """The modules that matter here."""

    modules: dict[str, ModuleFacts]
    """kvm, kvm_intel, kvm_amd, kvm_pvm, kvm_hv, vhost_net, vhost_vsock, tun, vfio, vfio_pci, vboxdrv, vmmon, vmnet."""
    nested: Reading[bool]
    """kvm_intel.nested or kvm_amd.nested (Y, N, 1 or 0)."""
    ept: Reading[bool]
    """kvm_intel.ept or kvm_amd.npt."""
    enable_virt_at_load: Reading[bool]
    """kvm.enable_virt_at_load, Linux 6.12 on: KVM holds VT-x from load."""
    loadable: Reading[bool]
    """Whether this kernel takes modules at all (CONFIG_MODULES, /proc/sys/kernel/modules_disabled, `nomodule`)."""
