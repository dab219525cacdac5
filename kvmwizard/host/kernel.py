"""The running kernel, its configuration, and the kernel log's words on virtualization."""

from kvmwizard.host.reading import FactModel, Reading


class KernelFacts(FactModel):
    """The running kernel."""

    release: Reading[str]
    """As `uname -r`."""
    command_line: Reading[tuple[str, ...]]
    configuration_source: str | None
    """The file the options were read from; None where there was none."""
    options: Reading[dict[str, str]]
    """The KVM-related symbols of `kernel.OPTIONS`, without CONFIG_: y, m, n or a value."""
    log_lines: Reading[tuple[str, ...]]
    """Lines of the kernel's log that speak of KVM, VMX, SVM, DMAR or AMD-Vi."""
    taints: Reading[int]
    """/proc/sys/kernel/tainted."""
    installed_releases: Reading[tuple[str, ...]]
    """Kernels that could be booted: names under /lib/modules with an image in /boot."""
