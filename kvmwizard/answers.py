"""What the person decided: one model a page, and every rule about an answer."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from kvmwizard.checks.evidence import EXTENSION_DRIVERS, is_power
from kvmwizard.checks.iommu import boot_line_can_be_set
from kvmwizard.host.facts import Facts
from kvmwizard.host.host import Host
from kvmwizard.host.identity import stored_identity
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.qemu import QemuBinary, native_binaries
from kvmwizard.host.reading import CommandOutput, Unknown, known
from kvmwizard.words import Words, say

PACKAGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9+._:~-]*$"
USER_NAME = r"^[a-z_][a-z0-9_.-]*\$?$"
MODULE_NAME = r"^[a-z0-9_]+$"
ABSOLUTE_PATH = r"^/[^\x00-\x1f]*$"
VERSION = r"^[0-9]{1,4}(\.[0-9]{1,4}){1,3}(-rc[0-9]{1,3})?$"
TAG = r"^v[0-9]{1,4}(\.[0-9]{1,4}){1,3}(-rc[0-9]{1,3})?$"
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+~-]{0,254}$"
REMEDY = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
LOCAL_VERSION = r"^([-+.][a-z0-9][a-z0-9.+-]{0,30})?$"
"""In letters that a Debian package's name can have as well (Debian policy, section 5.6.7)."""
COMPILER = r"^(gcc|clang)(-[0-9]{1,2}(\.[0-9])?)?$"
TARGET = r"^[a-z0-9_]+-softmmu$"
CONFIGURE_FLAG = r"^--[A-Za-z0-9][A-Za-z0-9_-]*(=[A-Za-z0-9_,./:+@%=-]*)?$"
BASE_URL = r"^(https?|file)://[!-~]+$"
GIT_URL = r"^(https?|git|ssh|file)://[!-~]+$"
EMULATOR_VERSION = r"QEMU (PC )?emulator version \d"
"""How every QEMU begins its answer to --version; "PC" until 2.8 (vl.c)."""

NO_PACKAGE_MANAGER = say(
    "No package manager that the wizard knows is here, so it cannot install from the distribution. "
    "Keep the running kernel, and choose a QEMU that is already here."
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
    version: str
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


@dataclass(frozen=True)
class AnswerProblem:
    """An answer that cannot be carried out on this machine; `words` says why and what to do."""

    page: str
    """The page's field of `Answers`, as `access`."""
    field: str
    """The field of that page's answer, as `user`."""
    words: Words


def proposed_answers(facts: Facts) -> Answers:
    """A good default for every page of this machine."""
    return completed_answers(Answers(), facts)


def completed_answers(answers: Answers, facts: Facts) -> Answers:
    """The answers, with what has not been answered as it is proposed for this machine."""
    qemu = answers.qemu or QemuAnswer(qemu=_proposed_qemu(facts))
    return Answers(
        welcome=answers.welcome or WelcomeAnswer(),
        sources=answers.sources,
        kernel=answers.kernel or KernelAnswer(),
        kernel_options=answers.kernel_options or KernelOptionsAnswer(modules=_proposed_modules(facts)),
        kernel_build=answers.kernel_build,
        qemu=qemu,
        qemu_build=answers.qemu_build,
        qemu_options=answers.qemu_options or _proposed_qemu_options(qemu),
        access=answers.access or _proposed_access(facts),
    )


def answer_problems(answers: Answers, facts: Facts) -> tuple[AnswerProblem, ...]:
    """What of the answers this machine cannot do; empty where all can be carried out.

    On the live machine it asks the user database, and a QEMU that was not found
    by itself for its version, which may take seconds.
    """
    return (
        *_kernel_problems(answers, facts),
        *_module_problems(answers, facts),
        *_iommu_problems(answers, facts),
        *_qemu_problems(answers, facts),
        *_access_problems(answers, facts),
    )


def iommu_obstacle(facts: Facts) -> Words | None:
    """Why the wizard cannot turn the IOMMU on at this machine's kernel command line; None where it can."""
    if facts.processor.architecture != "x86_64":
        return say("The IOMMU can be turned on by the wizard on x86-64 alone.")
    if facts.iommu.tables == ():
        return say(
            "The firmware gives no IOMMU. Turn on VT-d or AMD-Vi in the firmware's setup, then check again."
        )
    if not boot_line_can_be_set(facts):
        return say(
            "The wizard can change the kernel command line only of GRUB as Debian and Ubuntu set it up. "
            "Add intel_iommu=on (Intel) to your boot loader's kernel command line yourself."
        )
    return None


def native_emulators(facts: Facts) -> tuple[QemuBinary, ...]:
    """The QEMUs here that run guests of this machine's own architecture, which alone can use KVM."""
    return native_binaries(known(facts.qemu.binaries, ()), facts.processor.architecture)


def _proposed_modules(facts: Facts) -> tuple[str, ...]:
    """Those that guests here profit from, and that a command would load."""
    if facts.modules.loadable is False:
        return ()
    wanted = (_processor_module(facts), "vhost_net", "tun")
    return tuple(name for name in wanted if _module_state(facts, name) is ModuleState.AVAILABLE)


def _processor_module(facts: Facts) -> str:
    """The module that makes KVM work on this processor; its dependencies come with it."""
    if is_power(facts):
        return "kvm_hv"
    extension = facts.processor.extension
    if isinstance(extension, Unknown):
        return "kvm"
    # A module that needs an extension does not load where there is none.
    return {**EXTENSION_DRIVERS, VirtualizationExtension.NONE: "kvm_pvm"}.get(extension, "kvm")


def _module_state(facts: Facts, name: str) -> ModuleState | Unknown | None:
    module = facts.modules.modules.get(name)
    return None if module is None else module.state


def _proposed_qemu(facts: Facts) -> DistributionQemu | LocalQemu:
    """A QEMU that is here and says its version, before installing one."""
    for binary in native_emulators(facts):
        if not isinstance(binary.version, Unknown):
            return LocalQemu(path=binary.path)
    return DistributionQemu()


def _proposed_qemu_options(qemu: QemuAnswer) -> QemuOptionsAnswer:
    return QemuOptionsAnswer() if qemu.qemu.source == "distribution" else QemuOptionsAnswer(extras=())


def _proposed_access(facts: Facts) -> AccessAnswer:
    """The person; for root who came by no sudo, the machine's only ordinary account."""
    person = facts.users.person or "root"
    ordinary = [account.name for account in known(facts.users.accounts, ()) if account.id != 0]
    return AccessAnswer(user=ordinary[0] if person == "root" and len(ordinary) == 1 else person)


def _kernel_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    kernel = answers.kernel
    if kernel is not None and kernel.kernel.source == "distribution" and not _package_manager(facts):
        yield AnswerProblem("kernel", "kernel", NO_PACKAGE_MANAGER)


def _module_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    if answers.kernel_options is None:
        return
    for name in answers.kernel_options.modules:
        state = _module_state(facts, name)
        if state is None:
            yield AnswerProblem(
                "kernel_options",
                "modules",
                say(
                    "The module {name} is not one that the wizard loads. Choose from: {known}.",
                    name=name,
                    known=", ".join(sorted(facts.modules.modules)),
                ),
            )
        elif state is ModuleState.ABSENT and not _new_kernel(answers):
            yield AnswerProblem(
                "kernel_options",
                "modules",
                say(
                    "The running kernel has no module {name}. Leave it out, or choose another kernel.",
                    name=name,
                ),
            )


def _new_kernel(answers: Answers) -> bool:
    return answers.kernel is not None and answers.kernel.kernel.source != "keep"


def _iommu_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    if answers.kernel_options is not None and answers.kernel_options.iommu:
        obstacle = iommu_obstacle(facts)
        if obstacle is not None:
            yield AnswerProblem("kernel_options", "iommu", obstacle)


def _qemu_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    if answers.qemu is None:
        return
    qemu = answers.qemu.qemu
    if isinstance(qemu, LocalQemu):
        problem = _emulator_problem(qemu.path, facts)
        if problem is not None:
            yield AnswerProblem("qemu", "qemu", problem)
    elif not _package_manager(facts):
        yield AnswerProblem("qemu", "qemu", NO_PACKAGE_MANAGER)


def _emulator_problem(path: str, facts: Facts) -> Words | None:
    """Why the program cannot run guests under KVM here; None where it can."""
    found = {binary.path for binary in known(facts.qemu.binaries, ())}
    usable = {binary.path for binary in native_emulators(facts)}
    if path in usable or (facts.live and os.path.realpath(path) in usable):
        return None
    if path in found:
        return say(
            "{path} runs guests of another architecture than this machine's, which KVM cannot help. "
            "Choose a QEMU for {architecture}.",
            path=path,
            architecture=facts.processor.architecture,
        )
    if not facts.live:
        return say("There is no QEMU {path} on the recorded machine.", path=path)
    if not Path(path).is_file():
        return say("There is no program {path}. Give the path of a QEMU that is here.", path=path)
    if not os.access(path, os.X_OK):
        return say("{path} may not be executed. Give the path of a QEMU that may.", path=path)
    answer = Host().run((path, "--version"))
    if isinstance(answer, CommandOutput) and re.match(EMULATOR_VERSION, answer.output):
        return None
    return say("{path} does not say that it is a QEMU when asked for its version.", path=path)


def _access_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    if answers.access is None:
        return
    problem = user_problem(answers.access.user, facts)
    if problem is not None:
        yield AnswerProblem("access", "user", problem)


def user_problem(name: str, facts: Facts) -> Words | None:
    """Why guests cannot be for this user: there is no such account; None where there is."""
    if facts.users.account(name) is not None or (facts.live and stored_identity(name) is not None):
        return None
    accounts = known(facts.users.accounts, ())
    if not accounts:
        return say("There is no user {name} on this machine.", name=name)
    return say(
        "There is no user {name} on this machine. Those who log in here are: {users}.",
        name=name,
        users=", ".join(account.name for account in accounts),
    )


def _package_manager(facts: Facts) -> str | None:
    return known(facts.distribution.package_manager, None)
