"""What of the answers is built from source, and which version that is. Pure."""

from dataclasses import dataclass

from kvmwizard.answers import (
    Answers,
    GitKernel,
    GitQemu,
    KernelBuildAnswer,
    LocalSourceKernel,
    LocalSourceQemu,
    QemuBuildAnswer,
    ReleaseKernel,
    ReleaseQemu,
)
from kvmwizard.catalog.images import kernel_release
from kvmwizard.catalog.version import Version, parse_version


@dataclass(frozen=True)
class ChosenKernel:
    """A kernel that is built here."""

    source: ReleaseKernel | GitKernel | LocalSourceKernel
    version: Version
    build: KernelBuildAnswer

    @property
    def release(self) -> str:
        """What `uname -r` will say."""
        return kernel_release(self.version.text, self.build.local_version)


@dataclass(frozen=True)
class ChosenQemu:
    """A QEMU that is built here."""

    source: ReleaseQemu | GitQemu | LocalSourceQemu
    version: Version
    build: QemuBuildAnswer


def chosen_kernel(answers: Answers) -> ChosenKernel | None:
    """The kernel that these answers build; None where they build none."""
    source = answers.kernel.kernel if answers.kernel else None
    if not isinstance(source, ReleaseKernel | GitKernel | LocalSourceKernel):
        return None
    return ChosenKernel(source, _version(source), answers.kernel_build or KernelBuildAnswer())


def chosen_qemu(answers: Answers) -> ChosenQemu | None:
    """The QEMU that these answers build; None where they build none."""
    source = answers.qemu.qemu if answers.qemu else None
    if not isinstance(source, ReleaseQemu | GitQemu | LocalSourceQemu):
        return None
    return ChosenQemu(source, _version(source), answers.qemu_build or QemuBuildAnswer())


def _version(
    source: ReleaseKernel | GitKernel | LocalSourceKernel | ReleaseQemu | GitQemu | LocalSourceQemu,
) -> Version:
    text = source.tag if isinstance(source, GitKernel | GitQemu) else source.version
    version = parse_version(text)
    if version is None:  # the answers' own pattern allows no such text
        raise ValueError(text)
    return version
