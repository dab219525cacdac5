"""The IOMMU (VT-d, AMD-Vi, SMMU), which hands devices to guests."""

from kvmwizard.host.reading import FactModel, Reading


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
