"""The IOMMU (VT-d, AMD-Vi, SMMU), which hands devices to guests."""

from kvmwizard.host.host import Host
from kvmwizard.host.kernel import KernelFacts
from kvmwizard.host.parsing import not_shown
from kvmwizard.host.reading import FactModel, Reading, Unknown

ACPI_TABLES = "/sys/firmware/acpi/tables"
IOMMU_TABLES = ("DMAR", "IVRS", "IORT")
"""Of Intel's VT-d, of AMD-Vi and of ARM's SMMU."""
GROUPS = "/sys/kernel/iommu_groups"
UNITS = "/sys/class/iommu"
PCI_DEVICES = "/sys/bus/pci/devices"


class IommuFacts(FactModel):
    """Whether there is an IOMMU, and whether the kernel uses it."""

    tables: Reading[tuple[str, ...]]
    """Of the ACPI tables DMAR, IVRS and IORT, those that the firmware gives."""
    groups: Reading[int]
    """Entries of /sys/kernel/iommu_groups."""
    units: Reading[tuple[str, ...]]
    """Names under /sys/class/iommu."""
    parameters: tuple[str, ...]
    """The words of the kernel command line that speak of the IOMMU."""
    pci_devices: Reading[int]
    """Entries of /sys/bus/pci/devices."""


def read_iommu(host: Host, kernel: KernelFacts) -> IommuFacts:
    """Whether there is an IOMMU, and whether the kernel uses it."""
    groups = _entries(host, GROUPS, "/sys/kernel")
    devices = _entries(host, PCI_DEVICES, "/sys/bus")
    words = kernel.command_line if isinstance(kernel.command_line, tuple) else ()
    return IommuFacts(
        tables=_tables(host),
        groups=groups if isinstance(groups, Unknown) else len(groups),
        units=_entries(host, UNITS, "/sys/class"),
        parameters=tuple(word for word in words if "iommu" in word.partition("=")[0]),
        pci_devices=devices if isinstance(devices, Unknown) else len(devices),
    )


def _tables(host: Host) -> Reading[tuple[str, ...]]:
    names = _entries(host, ACPI_TABLES, "/sys/firmware")
    return names if isinstance(names, Unknown) else tuple(table for table in IOMMU_TABLES if table in names)


def _entries(host: Host, directory: str, parent: str) -> Reading[tuple[str, ...]]:
    """The names in a directory; none where it is absent, unless all around it is absent too."""
    names = host.list_directory(directory)
    if names is not None:
        return names
    return () if host.list_directory(parent) else not_shown(directory)
