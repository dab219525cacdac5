"""Answers for plans, whole, with whatever a test wants different."""

from kvmwizard.answers import (
    AccessAnswer,
    Answers,
    DistributionKernel,
    DistributionQemu,
    KeepKernel,
    KernelAnswer,
    KernelOptionsAnswer,
    LocalQemu,
    QemuAnswer,
    QemuExtra,
    QemuOptionsAnswer,
    WelcomeAnswer,
)

A_KERNEL = DistributionKernel(package="linux-image-6.12-amd64", version="6.12.117-1~deb12u1")


def make_answers(  # noqa: PLR0913  -- one for each decision
    *,
    kernel: KeepKernel | DistributionKernel | None = None,
    modules: tuple[str, ...] = (),
    nested: bool | None = None,
    iommu: bool = False,
    local_qemu: str | None = None,
    extras: tuple[QemuExtra, ...] = (),
    user: str = "bob",
    now: bool = True,
) -> Answers:
    """By default bob gets the distribution's QEMU on the running kernel."""
    return Answers(
        welcome=WelcomeAnswer(),
        kernel=KernelAnswer(kernel=kernel or KeepKernel()),
        kernel_options=KernelOptionsAnswer(modules=modules, nested=nested, iommu=iommu),
        qemu=QemuAnswer(qemu=LocalQemu(path=local_qemu) if local_qemu else DistributionQemu()),
        qemu_options=QemuOptionsAnswer(extras=extras),
        access=AccessAnswer(user=user, now=now),
    )
