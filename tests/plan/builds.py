"""Answers that build from source, whole, with whatever a test wants different."""

from kvmwizard.answers import (
    Answers,
    DistributionKernel,
    DistributionQemu,
    GitKernel,
    GitQemu,
    KeepKernel,
    KernelAnswer,
    KernelBuildAnswer,
    LocalQemu,
    LocalSourceKernel,
    LocalSourceQemu,
    QemuAnswer,
    QemuBuildAnswer,
    ReleaseKernel,
    ReleaseQemu,
    SourcesAnswer,
)
from kvmwizard.catalog.adviser import Project, advise, tools_of
from kvmwizard.host.facts import Facts
from tests.plan.answers import make_answers

Kernel = KeepKernel | DistributionKernel | ReleaseKernel | GitKernel | LocalSourceKernel
Qemu = DistributionQemu | LocalQemu | ReleaseQemu | GitQemu | LocalSourceQemu

A_LINUX = ReleaseKernel(version="6.12.104")
A_QEMU = ReleaseQemu(version="10.1.0")
BOOK_LINUX = ReleaseKernel(version="4.8.5")
BOOK_QEMU = GitQemu(tag="v2.7.0")


def build_answers(  # noqa: PLR0913  -- one for each decision
    *,
    kernel: Kernel = A_LINUX,
    kernel_build: KernelBuildAnswer | None = None,
    qemu: Qemu = A_QEMU,
    qemu_build: QemuBuildAnswer | None = None,
    sources: SourcesAnswer | None = None,
    user: str = "bob",
) -> Answers:
    """By default bob gets a Linux and a QEMU that are built here."""
    return make_answers(user=user).model_copy(
        update={
            "sources": sources,
            "kernel": KernelAnswer(kernel=kernel),
            "kernel_build": kernel_build or KernelBuildAnswer(),
            "qemu": QemuAnswer(qemu=qemu),
            "qemu_build": qemu_build or QemuBuildAnswer(),
        }
    )


def all_remedies(project: Project, version: str, facts: Facts) -> tuple[str, ...]:
    """Everything that the version needs on this machine."""
    return tuple(remedy.id for remedy in advise(project, version, tools_of(facts)).remedies)


def book_answers(facts: Facts) -> Answers:
    """Linux 4.8.5 and QEMU 2.7.0, all agreed to."""
    return build_answers(
        kernel=BOOK_LINUX,
        kernel_build=KernelBuildAnswer(agreed=all_remedies("linux", "4.8.5", facts)),
        qemu=BOOK_QEMU,
        qemu_build=QemuBuildAnswer(agreed=all_remedies("qemu", "2.7.0", facts)),
    )
