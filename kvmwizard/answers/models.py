"""What the person decided: one model a page."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from kvmwizard.text_rules import (
    ABSOLUTE_PATH,
    BASE_URL,
    COMPILER,
    CONFIGURE_FLAG,
    FILE_NAME,
    GIT_URL,
    LOCAL_VERSION,
    MODULE_NAME,
    PACKAGE_NAME,
    PACKAGE_VERSION,
    REMEDY,
    TAG,
    TARGET,
    USER_NAME,
    VERSION,
)


def without_repeats(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, each given once; a ValidationError of type `repeated` otherwise."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise PydanticCustomError("repeated", "given twice: {names}", {"names": ", ".join(repeated)})
    return names


class AnswerModel(BaseModel):
    """The base of every answer: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WelcomeAnswer(AnswerModel):
    """Which way in was chosen."""

    route: Literal["packages", "source", "book"] = "packages"
    """`packages`: the distribution's kernel and QEMU; `source`: versions chosen by the person, built
    here; `book`: Linux 4.8.5 and QEMU 2.7.0, built here.
    """


class KeepKernel(AnswerModel):
    """Stay with the running kernel."""

    source: Literal["keep"] = "keep"


class DistributionKernel(AnswerModel):
    """The distribution's newest kernel package."""

    source: Literal["distribution"] = "distribution"
    package: Annotated[str, Field(pattern=PACKAGE_NAME)]
    version: Annotated[str, Field(pattern=PACKAGE_VERSION)]
    """The version the package manager offered when it was chosen."""
    release: Annotated[str, Field(pattern=PACKAGE_NAME)] | None = None
    """What `uname -r` will say once that kernel runs; None where the package manager does not tell."""


class SourceAnswer(AnswerModel):
    """The base of every choice that is built here."""

    unverified: Annotated[str, Field(pattern=FILE_NAME)] | None = None
    """The name of the file (or tag) that the person, in words, allowed to be used unverified."""


class ReleaseKernel(SourceAnswer):
    """A release as a tarball, from kernel.org or a mirror of it."""

    source: Literal["release"] = "release"
    version: Annotated[str, Field(pattern=VERSION)]
    """As `6.12.104`; an X.Y.0 is written X.Y."""


class GitKernel(SourceAnswer):
    """A tag of the linux-stable repository."""

    source: Literal["git"] = "git"
    tag: Annotated[str, Field(pattern=TAG)]


class LocalSourceKernel(SourceAnswer):
    """A kernel tarball or source tree of the person's."""

    source: Literal["local-source"] = "local-source"
    path: Annotated[str, Field(pattern=ABSOLUTE_PATH)]
    version: Annotated[str, Field(pattern=VERSION)]
    """What its Makefile says."""


class KernelAnswer(AnswerModel):
    """Which kernel the host shall run."""

    kernel: Annotated[
        KeepKernel | DistributionKernel | ReleaseKernel | GitKernel | LocalSourceKernel,
        Field(discriminator="source"),
    ] = KeepKernel()


class BuildAnswer(AnswerModel):
    """The base of what is asked about every build."""

    folder: Annotated[str, Field(pattern=ABSOLUTE_PATH)] | None = None
    """Where it is built; None: `facts.disk.build_directory`."""
    jobs: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Compilers at the same time; None: what processors and memory allow (`catalog.jobs`)."""
    agreed: Annotated[tuple[Annotated[str, Field(pattern=REMEDY)], ...], AfterValidator(without_repeats)] = ()
    """Ids of the adviser's flags and patches that the person agreed to."""


class KernelBuildAnswer(BuildAnswer):
    """How the kernel is configured, compiled and installed; only for one built from source."""

    base: Literal["running", "defconfig", "localmodconfig", "file"] = "localmodconfig"
    """What the configuration starts from: the running kernel's, the architecture's default, the
    running kernel's without the modules that are not loaded now, or a file.
    """
    base_file: Annotated[str, Field(pattern=ABSOLUTE_PATH)] | None = None
    features: (
        Annotated[tuple[Annotated[str, Field(pattern=REMEDY)], ...], AfterValidator(without_repeats)] | None
    ) = None
    """Ids of the KVM host features (`catalog.features`) to switch on; None: the proposed ones."""
    local_version: Annotated[str, Field(pattern=LOCAL_VERSION)] = "-kvmwizard"
    """Ends the release that `uname -r` says."""
    debug_info: bool = False
    compiler: Annotated[str, Field(pattern=COMPILER)] = "gcc"
    """As `gcc` or `gcc-11`."""
    ccache: bool = False
    install: Literal["package", "plain"] = "package"
    """As a package that the package manager owns, or as plain files; the former where it can be."""


class KernelOptionsAnswer(AnswerModel):
    """What the kernel shall do for guests."""

    modules: Annotated[
        tuple[Annotated[str, Field(pattern=MODULE_NAME)], ...], AfterValidator(without_repeats)
    ] = ()
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


class ReleaseQemu(SourceAnswer):
    """A release as a tarball, from qemu.org or a mirror of it."""

    source: Literal["release"] = "release"
    version: Annotated[str, Field(pattern=VERSION)]


class GitQemu(SourceAnswer):
    """A tag of QEMU's repository."""

    source: Literal["git"] = "git"
    tag: Annotated[str, Field(pattern=TAG)]


class LocalSourceQemu(SourceAnswer):
    """A QEMU tarball or source tree of the person's."""

    source: Literal["local-source"] = "local-source"
    path: Annotated[str, Field(pattern=ABSOLUTE_PATH)]
    version: Annotated[str, Field(pattern=VERSION)]
    """What its file VERSION says."""


class QemuAnswer(AnswerModel):
    """Which QEMU guests shall run under."""

    qemu: Annotated[
        DistributionQemu | LocalQemu | ReleaseQemu | GitQemu | LocalSourceQemu,
        Field(discriminator="source"),
    ] = DistributionQemu()


class QemuBuildAnswer(BuildAnswer):
    """How QEMU is configured, compiled and installed; only for one built from source."""

    targets: (
        Annotated[tuple[Annotated[str, Field(pattern=TARGET)], ...], AfterValidator(without_repeats)] | None
    ) = None
    """As `x86_64-softmmu`; None: this machine's own architecture."""
    kvm: bool = True
    vhost: bool = True
    slirp: bool = True
    """Networking for guests without any right of the user's."""
    docs: bool = False
    prefix: Annotated[str, Field(pattern=ABSOLUTE_PATH)] | None = None
    """Where it is installed; None: /opt/kvmwizard/qemu-VERSION."""
    flags: tuple[Annotated[str, Field(pattern=CONFIGURE_FLAG)], ...] = ()
    """More flags for configure, as given."""


QemuExtra = Literal["image-tools", "uefi-firmware", "libvirt"]


class QemuOptionsAnswer(AnswerModel):
    """What is installed beside QEMU; only for the distribution's package."""

    extras: Annotated[tuple[QemuExtra, ...], AfterValidator(without_repeats)] = ("image-tools",)


class AccessAnswer(AnswerModel):
    """Who may use /dev/kvm."""

    user: Annotated[str, Field(pattern=USER_NAME)]
    now: bool = True
    """Also at once, by an access list entry that lasts until the device is made anew."""


class SourcesAnswer(AnswerModel):
    """Where sources come from, instead of or beside their own projects' servers."""

    kernel_mirror: Annotated[str, Field(pattern=BASE_URL)] | None = None
    """What stands in place of https://cdn.kernel.org/pub/linux/kernel."""
    kernel_git: Annotated[str, Field(pattern=GIT_URL)] | None = None
    qemu_mirror: Annotated[str, Field(pattern=BASE_URL)] | None = None
    """What stands in place of https://download.qemu.org."""
    qemu_git: Annotated[str, Field(pattern=GIT_URL)] | None = None
    kernel_key: Annotated[str, Field(pattern=ABSOLUTE_PATH)] | None = None
    """A file with one more public key, whose signatures of kernels count as the developers' own."""
    qemu_key: Annotated[str, Field(pattern=ABSOLUTE_PATH)] | None = None


class Answers(AnswerModel):
    """All pages; None where a page has not been answered, or does not apply."""

    welcome: WelcomeAnswer | None = None
    sources: SourcesAnswer | None = None
    kernel: KernelAnswer | None = None
    kernel_build: KernelBuildAnswer | None = None
    kernel_options: KernelOptionsAnswer | None = None
    qemu: QemuAnswer | None = None
    qemu_build: QemuBuildAnswer | None = None
    qemu_options: QemuOptionsAnswer | None = None
    access: AccessAnswer | None = None
