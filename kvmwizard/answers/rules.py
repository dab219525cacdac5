"""What of the answers a machine cannot do, as far as can be told without what is known of sources."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kvmwizard.answers.models import Answers, DistributionQemu, LocalQemu
from kvmwizard.answers.proposals import module_state, native_emulators
from kvmwizard.checks import evidence
from kvmwizard.checks.iommu import boot_line_can_be_set
from kvmwizard.host.facts import Facts
from kvmwizard.host.host import Host
from kvmwizard.host.identity import stored_identity
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.reading import CommandOutput, known
from kvmwizard.paths import is_file
from kvmwizard.words import Words, say

EMULATOR_VERSION = r"QEMU (PC )?emulator version \d"
"""How every QEMU begins its answer to --version; "PC" until 2.8 (vl.c)."""

NO_PACKAGE_MANAGER = say(
    "No package manager that the wizard knows is here, so it cannot install from the distribution. "
    "Keep the running kernel, and choose a QEMU that is already here."
)


@dataclass(frozen=True)
class AnswerProblem:
    """An answer that cannot be carried out on this machine; `words` says why and what to do."""

    page: str
    """The page's field of `Answers`, as `access`."""
    field: str
    """The field of that page's answer, as `user`."""
    words: Words


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
        return _no_iommu(facts)
    if not boot_line_can_be_set(facts):
        return say(
            "The wizard can change the kernel command line only of GRUB as Debian and Ubuntu set it up. "
            "Add intel_iommu=on (Intel) to your boot loader's kernel command line yourself."
        )
    return None


def _no_iommu(facts: Facts) -> Words:
    """Why the firmware names none; a guest has no setup of its own to turn it on in."""
    if evidence.above(facts) or evidence.container(facts):
        return say("This machine is itself a guest, and was given no IOMMU; guests run without.")
    return say(
        "The firmware gives no IOMMU. Turn on VT-d or AMD-Vi in the firmware's setup, then check again on "
        "the Hardware page (r)."
    )


def _kernel_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    kernel = answers.kernel
    if kernel is not None and kernel.kernel.source == "distribution" and not _package_manager(facts):
        yield AnswerProblem("kernel", "kernel", NO_PACKAGE_MANAGER)


def _module_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    if answers.kernel_options is None:
        return
    for name in answers.kernel_options.modules:
        state = module_state(facts, name)
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
    elif isinstance(qemu, DistributionQemu) and not _package_manager(facts):
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
    if not is_file(path):
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
