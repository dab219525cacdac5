"""Proposals for a machine, and what of the answers it cannot do."""

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kvmwizard.answers import (
    AccessAnswer,
    AnswerProblem,
    Answers,
    DistributionKernel,
    DistributionQemu,
    KeepKernel,
    KernelAnswer,
    KernelOptionsAnswer,
    LocalQemu,
    QemuAnswer,
    QemuOptionsAnswer,
    answer_problems,
    completed_answers,
    iommu_obstacle,
    native_emulators,
    proposed_answers,
)
from kvmwizard.host.facts import Facts
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.qemu import QemuBinary
from tests.facts_builder import ALICE, BOB, NOT_LIVE, NOT_SHOWN, ROOT, make_facts, module_states

NEW_KERNEL = KernelAnswer(kernel=DistributionKernel(package="linux-image-amd64", version="6.1.170-3"))


def proposed_modules(facts: Facts) -> tuple[str, ...]:
    options = proposed_answers(facts).kernel_options
    assert options is not None
    return options.modules


def proposed_user(facts: Facts) -> str:
    access = proposed_answers(facts).access
    assert access is not None
    return access.user


def only_problem(answers: Answers, facts: Facts) -> AnswerProblem:
    (problem,) = answer_problems(answers, facts)
    return problem


def test_every_page_has_a_proposal() -> None:
    proposed = proposed_answers(make_facts())
    unanswered = {page for page in Answers.model_fields if getattr(proposed, page) is None}
    assert unanswered == {"sources", "kernel_build", "qemu_build"}, "these do not apply"
    assert answer_problems(proposed, make_facts()) == ()


def test_the_running_kernel_is_kept() -> None:
    assert proposed_answers(make_facts()).kernel == KernelAnswer(kernel=KeepKernel())


def test_what_was_answered_is_kept() -> None:
    answered = Answers(
        access=AccessAnswer(user="bob", now=False), qemu_options=QemuOptionsAnswer(extras=("libvirt",))
    )
    completed = completed_answers(answered, make_facts())
    assert completed.access == answered.access
    assert completed.qemu_options == answered.qemu_options
    assert completed.kernel is not None


def test_modules_that_could_be_loaded_are_proposed() -> None:
    available = module_states(kvm_intel=ModuleState.AVAILABLE, vhost_net=ModuleState.AVAILABLE)
    assert proposed_modules(make_facts(modules=available)) == ("kvm_intel", "vhost_net")


@pytest.mark.parametrize(
    ("extension", "module"),
    [(VirtualizationExtension.SVM, "kvm_amd"), (VirtualizationExtension.NONE, "kvm_pvm")],
)
def test_the_module_of_this_processor_is_proposed(extension: VirtualizationExtension, module: str) -> None:
    facts = make_facts(
        processor={"extension": extension},
        modules=module_states(
            kvm_intel=ModuleState.AVAILABLE, kvm_amd=ModuleState.AVAILABLE, kvm_pvm=ModuleState.AVAILABLE
        ),
    )
    assert proposed_modules(facts) == (module,)


def test_no_module_is_proposed_to_a_kernel_that_takes_none() -> None:
    modules = {**module_states(vhost_net=ModuleState.AVAILABLE), "loadable": False}
    assert proposed_modules(make_facts(modules=modules)) == ()


def test_modules_that_are_unknown_or_built_in_are_not_proposed() -> None:
    modules = module_states(kvm_intel=ModuleState.BUILT_IN, vhost_net=NOT_LIVE, tun=ModuleState.ABSENT)
    assert proposed_modules(make_facts(modules=modules)) == ()


def test_a_qemu_that_is_here_is_proposed() -> None:
    proposed = proposed_answers(make_facts())
    assert proposed.qemu == QemuAnswer(qemu=LocalQemu(path="/usr/bin/qemu-system-x86_64"))
    assert proposed.qemu_options == QemuOptionsAnswer(extras=())


@pytest.mark.parametrize(
    "binaries",
    [
        (),
        NOT_LIVE,
        (QemuBinary(path="/usr/bin/qemu-system-aarch64", architecture="aarch64", version="7.2.22"),),
        (QemuBinary(path="/usr/bin/qemu-system-x86_64", architecture="x86_64", version=NOT_SHOWN),),
    ],
    ids=["none", "unknown", "of another architecture", "that does not say its version"],
)
def test_the_distributions_qemu_is_proposed_where_no_usable_one_is_here(binaries: object) -> None:
    proposed = proposed_answers(make_facts(qemu={"binaries": binaries}))
    assert proposed.qemu == QemuAnswer(qemu=DistributionQemu())
    assert proposed.qemu_options == QemuOptionsAnswer(extras=("image-tools",))


def test_qemu_has_names_of_its_own_for_architectures() -> None:
    binary = QemuBinary(path="/usr/bin/qemu-system-ppc64", architecture="ppc64", version="7.2.22")
    facts = make_facts(processor={"architecture": "ppc64le"}, qemu={"binaries": (binary,)})
    assert native_emulators(facts) == (binary,)


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({"caller": "alice"}, "alice"),
        ({"caller": "root", "sudo_caller": "bob"}, "bob"),
        ({"caller": "root", "accounts": (ROOT, ALICE)}, "alice"),
        ({"caller": "root", "accounts": (ROOT, ALICE, BOB)}, "root"),
        ({"caller": "root", "accounts": (ROOT,)}, "root"),
        ({"caller": NOT_LIVE, "accounts": NOT_LIVE}, "root"),
    ],
    ids=["caller", "caller of sudo", "only account", "several accounts", "root alone", "unknown"],
)
def test_access_is_proposed_for_the_person(users: dict[str, object], expected: str) -> None:
    assert proposed_user(make_facts(users=users)) == expected


def test_a_user_who_does_not_exist_is_a_problem() -> None:
    problem = only_problem(Answers(access=AccessAnswer(user="nobody2")), make_facts())
    assert (problem.page, problem.field) == ("access", "user")
    assert problem.words.english == (
        "There is no user nobody2 on this machine. Those who log in here are: root, alice, bob."
    )


def test_a_user_whom_only_the_user_database_knows_is_good() -> None:
    service = next(account.pw_name for account in pwd.getpwall() if account.pw_uid not in {0, 1000, 1001})
    answers = Answers(access=AccessAnswer(user=service))
    assert answer_problems(answers, make_facts(live=True)) == ()
    assert only_problem(answers, make_facts(live=False)).page == "access"


def test_the_distribution_is_a_problem_without_a_package_manager() -> None:
    facts = make_facts(distribution={"package_manager": None})
    answers = Answers(kernel=NEW_KERNEL, qemu=QemuAnswer(qemu=DistributionQemu()))
    assert [problem.page for problem in answer_problems(answers, facts)] == ["kernel", "qemu"]


def test_a_module_nobody_knows_is_a_problem() -> None:
    problem = only_problem(
        Answers(kernel_options=KernelOptionsAnswer(modules=("tun", "nvidia"))), make_facts()
    )
    assert problem.field == "modules"
    assert "The module nvidia" in problem.words.english
    assert "vhost_net" in problem.words.english


def test_an_absent_module_is_a_problem_only_for_the_running_kernel() -> None:
    facts = make_facts(modules=module_states(vhost_net=ModuleState.ABSENT))
    options = KernelOptionsAnswer(modules=("vhost_net",))
    assert only_problem(Answers(kernel_options=options), facts).field == "modules"
    assert answer_problems(Answers(kernel_options=options, kernel=NEW_KERNEL), facts) == ()


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        ({"processor": {"architecture": "aarch64"}}, "x86-64"),
        ({"iommu": {"tables": ()}}, "firmware"),
        ({"distribution": {"boot_loader": "systemd-boot"}}, "GRUB"),
        ({"distribution": {"id": "fedora"}}, "GRUB"),
    ],
    ids=["another architecture", "no table", "another boot loader", "another distribution"],
)
def test_where_the_iommu_cannot_be_turned_on(subjects: dict[str, Any], expected: str) -> None:
    problem = only_problem(Answers(kernel_options=KernelOptionsAnswer(iommu=True)), make_facts(**subjects))
    assert problem.field == "iommu"
    assert expected in problem.words.english


def test_where_the_iommu_can_be_turned_on() -> None:
    assert iommu_obstacle(make_facts()) is None
    ubuntu = {"id": "ubuntu", "like": ("debian",), "boot_loader": "grub"}
    assert iommu_obstacle(make_facts(distribution=ubuntu)) is None
    assert iommu_obstacle(make_facts(iommu={"tables": NOT_LIVE})) is None


def emulator_problem(path: Path | str, facts: Facts) -> str:
    problem = only_problem(Answers(qemu=QemuAnswer(qemu=LocalQemu(path=str(path)))), facts)
    assert (problem.page, problem.field) == ("qemu", "qemu")
    return problem.words.english


def test_a_qemu_by_a_link_to_one_that_was_found_is_good(tmp_path: Path) -> None:
    real = tmp_path / "qemu-system-x86_64"
    real.touch(mode=0o755)
    (tmp_path / "kvm").symlink_to(real)
    binary = QemuBinary(path=os.path.realpath(real), architecture="x86_64", version="7.2.22")
    answers = Answers(qemu=QemuAnswer(qemu=LocalQemu(path=str(tmp_path / "kvm"))))
    assert answer_problems(answers, make_facts(qemu={"binaries": (binary,)})) == ()


def test_a_missing_emulator_is_a_problem(tmp_path: Path) -> None:
    assert "There is no program" in emulator_problem(tmp_path / "qemu", make_facts())
    assert "recorded machine" in emulator_problem(tmp_path / "qemu", make_facts(live=False))


def test_an_emulator_that_may_not_be_executed_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "qemu"
    path.touch(mode=0o644)
    assert "may not be executed" in emulator_problem(path, make_facts())


def test_a_program_that_is_no_qemu_is_a_problem() -> None:
    assert "does not say that it is a QEMU" in emulator_problem("/bin/true", make_facts())


def test_a_qemu_for_another_architecture_is_a_problem() -> None:
    binary = QemuBinary(path="/usr/bin/qemu-system-arm", architecture="arm", version="7.2.22")
    facts = make_facts(qemu={"binaries": (binary,)})
    assert "another architecture" in emulator_problem("/usr/bin/qemu-system-arm", facts)


def test_a_qemu_that_was_not_found_by_itself_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "my-qemu"
    path.write_text(
        "#!/bin/sh\necho 'QEMU emulator version 2.7.0, Copyright (c) 2003-2016 Fabrice Bellard'\n"
    )
    path.chmod(0o755)
    answers = Answers(qemu=QemuAnswer(qemu=LocalQemu(path=str(path))))
    assert answer_problems(answers, make_facts()) == ()


@pytest.mark.parametrize("user", ["", "-x", "a b", "../root", "A", "a\n"])
def test_no_user_has_such_a_name(user: str) -> None:
    with pytest.raises(ValidationError):
        AccessAnswer(user=user)
