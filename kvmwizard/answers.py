"""What the person decided: one model a page, and every rule about an answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PACKAGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9+._:~-]*$"
USER_NAME = r"^[a-z_][a-z0-9_.-]*\$?$"
MODULE_NAME = r"^[a-z0-9_]+$"
ABSOLUTE_PATH = r"^/[^\x00-\x1f]*$"


class AnswerModel(BaseModel):
    """The base of every answer: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WelcomeAnswer(AnswerModel):
    """Which way in was chosen."""

    route: Literal["packages"] = "packages"
    """`packages`: the distribution's kernel and QEMU."""


class KeepKernel(AnswerModel):
    """Stay with the running kernel."""

    source: Literal["keep"] = "keep"


class DistributionKernel(AnswerModel):
    """The distribution's newest kernel package."""

    source: Literal["distribution"] = "distribution"
    package: Annotated[str, Field(pattern=PACKAGE_NAME)]
    version: str
    """The version the package manager offered when it was chosen."""


class KernelAnswer(AnswerModel):
    """Which kernel the host shall run."""

    kernel: Annotated[KeepKernel | DistributionKernel, Field(discriminator="source")] = KeepKernel()


class KernelOptionsAnswer(AnswerModel):
    """What the kernel shall do for guests."""

    modules: tuple[Annotated[str, Field(pattern=MODULE_NAME)], ...] = ()
    """Modules to load now and at every boot, in this order."""
    nested: bool | None = None
    """Guests that run guests: on, off, or as it is."""
    iommu: bool = False
    """Turn the IOMMU on at the kernel's command line."""


class DistributionQemu(AnswerModel):
    """The distribution's QEMU package."""

    source: Literal["distribution"] = "distribution"


class LocalQemu(AnswerModel):
    """A QEMU that is already here."""

    source: Literal["local"] = "local"
    path: Annotated[str, Field(pattern=ABSOLUTE_PATH)]


class QemuAnswer(AnswerModel):
    """Which QEMU guests shall run under."""

    qemu: Annotated[DistributionQemu | LocalQemu, Field(discriminator="source")] = DistributionQemu()


QemuExtra = Literal["image-tools", "uefi-firmware", "libvirt"]


class QemuOptionsAnswer(AnswerModel):
    """What is installed beside QEMU; only for the distribution's package."""

    extras: tuple[QemuExtra, ...] = ("image-tools",)


class AccessAnswer(AnswerModel):
    """Who may use /dev/kvm."""

    user: Annotated[str, Field(pattern=USER_NAME)]
    now: bool = True
    """Also at once, by an access list entry that lasts until the device is made anew."""


class Answers(AnswerModel):
    """All pages; None where a page has not been answered."""

    welcome: WelcomeAnswer | None = None
    kernel: KernelAnswer | None = None
    kernel_options: KernelOptionsAnswer | None = None
    qemu: QemuAnswer | None = None
    qemu_options: QemuOptionsAnswer | None = None
    access: AccessAnswer | None = None
