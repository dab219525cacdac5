"""What cannot be built on a machine, page by page; and the book's way."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kvmwizard.answers import (
    Answers,
    GitKernel,
    GitQemu,
    KernelAnswer,
    KernelBuildAnswer,
    LocalSourceKernel,
    LocalSourceQemu,
    QemuAnswer,
    QemuBuildAnswer,
    ReleaseKernel,
    ReleaseQemu,
    SourcesAnswer,
    answer_problems,
    completed_answers,
    proposed_answers,
)
from kvmwizard.catalog.adviser import advise, tools_of
from kvmwizard.catalog.book import book_answers, book_notes
from kvmwizard.catalog.feasibility import build_problems
from kvmwizard.catalog.places import prefix_problem
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import Unknown, UnknownReason
from kvmwizard.host.toolchain import Tool
from tests.catalog.test_local_source import linux_tree, qemu_tree
from tests.facts_builder import make_facts

NEW_KERNEL = KernelAnswer(kernel=ReleaseKernel(version="6.12.104"))
NEW_QEMU = QemuAnswer(qemu=ReleaseQemu(version="7.2.22"))


def problems(answers: Answers, facts: Facts | None = None) -> dict[tuple[str, str], str]:
    machine = make_facts() if facts is None else facts
    completed = completed_answers(answers, machine)
    assert answer_problems(completed, machine) == ()
    found = build_problems(completed, machine)
    assert all(problem.page in Answers.model_fields for problem in found)
    return {(problem.page, problem.field): problem.words.english for problem in found}


def test_what_can_be_built_has_no_problem() -> None:
    assert problems(Answers(kernel=NEW_KERNEL, qemu=NEW_QEMU)) == {}


def test_nothing_is_asked_where_nothing_is_built() -> None:
    facts = make_facts(firmware={"secure_boot": True}, disk={"build_free": 0, "boot_free": 0})
    assert build_problems(proposed_answers(facts), facts) == ()


def test_secure_boot_starts_no_kernel_of_ones_own() -> None:
    found = problems(Answers(kernel=NEW_KERNEL), make_facts(firmware={"secure_boot": True}))
    assert "Secure Boot is on" in found["kernel", "kernel"]
    assert problems(Answers(qemu=NEW_QEMU), make_facts(firmware={"secure_boot": True})) == {}


def test_a_container_has_no_kernel() -> None:
    found = problems(Answers(kernel=NEW_KERNEL), make_facts(environment={"container": "docker"}))
    assert "A container" in found["kernel", "kernel"]


def test_an_architecture_without_a_known_image() -> None:
    facts = make_facts(processor={"architecture": "sparc64"}, qemu={"binaries": ()})
    assert "sparc64" in problems(Answers(kernel=NEW_KERNEL), facts)["kernel", "kernel"]


def test_every_change_must_be_agreed_to() -> None:
    facts = make_facts()
    remedies = [remedy.id for remedy in advise("linux", "4.8.5", tools_of(facts)).remedies]
    assert remedies
    chosen = KernelAnswer(kernel=GitKernel(tag="v4.8.5"))
    answers = completed_answers(Answers(kernel=chosen), facts)
    found = build_problems(answers, facts)
    assert [(problem.page, problem.field) for problem in found] == [("kernel_build", "agreed")] * len(
        remedies
    )
    for remedy, problem in zip(remedies, found, strict=True):
        assert f"({remedy})" in problem.words.english
    agreed = KernelBuildAnswer(agreed=tuple(remedies))
    assert problems(Answers(kernel=chosen, kernel_build=agreed)) == {}
    some = KernelBuildAnswer(agreed=tuple(remedies[1:]))
    assert f"({remedies[0]})" in problems(Answers(kernel=chosen, kernel_build=some))["kernel_build", "agreed"]


def test_another_toolchain_is_said_with_a_way_to_it() -> None:
    old = {**make_facts().toolchain.tools, "gcc": Tool(name="gcc", path="/usr/bin/gcc", version="4.8.5")}
    facts = make_facts(toolchain={"tools": old})
    verdict = advise("linux", "6.12.104", tools_of(facts))
    assert verdict.outcome == "other-toolchain"
    said = problems(Answers(kernel=NEW_KERNEL), facts)["kernel", "kernel"]
    assert verdict.words.english in said
    assert verdict.reasons[0].english in said
    assert not verdict.ways or verdict.ways[0].english in said


def test_room_in_boot_and_in_the_build_folder() -> None:
    found = problems(Answers(kernel=NEW_KERNEL), make_facts(disk={"build_free": 10**9, "boot_free": 10**7}))
    assert "/boot has 10 MB free" in found["kernel", "kernel"]
    assert "/home/alice/.cache/kvmwizard has 1000 MB free" in found["kernel_build", "folder"]
    found = problems(Answers(qemu=NEW_QEMU), make_facts(disk={"build_free": 10**8, "boot_free": 0}))
    assert list(found) == [("qemu_build", "folder")]


def test_what_is_built_already_needs_no_more_room(tmp_path: Path) -> None:
    facts = make_facts(disk={"build_directory": str(tmp_path), "build_free": 10**8})
    assert ("kernel_build", "folder") in problems(Answers(kernel=NEW_KERNEL), facts)
    (tmp_path / "linux-6.12.104-0123abcd/build").mkdir(parents=True)
    assert problems(Answers(kernel=NEW_KERNEL), facts) == {}


@pytest.mark.parametrize(
    "folder",
    [
        "/srv/my builds",
        "/srv/a:b",
        "/srv/$(reboot)",
        "/srv/a;b",
        "/srv/'x'",
        "/srv/../etc",
        "/srv/é",
        "/srv//x",
        "/",
    ],
)
def test_folders_that_no_build_takes(folder: str) -> None:
    build = KernelBuildAnswer(folder=folder)
    assert (
        "Nothing can be built in"
        in problems(Answers(kernel=NEW_KERNEL, kernel_build=build))["kernel_build", "folder"]
    )


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    build = QemuBuildAnswer(folder=f"{tmp_path}/file/builds")
    assert (
        f"{tmp_path}/file is no folder"
        in problems(Answers(qemu=NEW_QEMU, qemu_build=build))["qemu_build", "folder"]
    )


def test_a_file_system_that_runs_no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = os.statvfs(tmp_path).f_flag
    mounted = SimpleNamespace(f_flag=flags | os.ST_NOEXEC, f_bavail=1 << 30, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: mounted)
    build = QemuBuildAnswer(folder=f"{tmp_path}/builds")
    said = problems(Answers(qemu=NEW_QEMU, qemu_build=build))["qemu_build", "folder"]
    assert "mounted noexec" in said


def test_one_folder_for_both() -> None:
    answers = Answers(
        kernel=NEW_KERNEL,
        kernel_build=KernelBuildAnswer(folder="/srv/kernels"),
        qemu=NEW_QEMU,
        qemu_build=QemuBuildAnswer(folder="/srv/qemus"),
    )
    assert "Choose one folder for both" in problems(answers)["qemu_build", "folder"]
    for_one = answers.model_copy(update={"qemu_build": QemuBuildAnswer()})
    assert "Choose one folder" not in str(problems(for_one))


@pytest.mark.parametrize(
    "prefix", ["/opt/kvmwizard/qemu-7.2.22", "/usr/local", "/usr/local/qemu", "/opt/kvmwizard"]
)
def test_prefixes(prefix: str) -> None:
    assert prefix_problem(prefix) is None


@pytest.mark.parametrize(
    "prefix",
    [
        "/",
        "/usr",
        "/etc",
        "/opt/kvmwizardx",
        "/usr/local/../bin",
        "/usr/local/",
        "/usr/local//x",
        "/usr/local/a b",
        "/usr/local/$(x)",
    ],
)
def test_prefixes_that_are_refused(prefix: str) -> None:
    build = QemuBuildAnswer(prefix=prefix)
    assert ("qemu_build", "prefix") in problems(Answers(qemu=NEW_QEMU, qemu_build=build))


@pytest.mark.parametrize(
    "flag", ["--prefix=/etc", "--target-list=arm-softmmu", "--bindir=/usr/bin", "--sysconfdir=/etc"]
)
def test_flags_that_decide_where_files_go_are_refused(flag: str) -> None:
    build = QemuBuildAnswer(flags=("--enable-lto", flag))
    assert flag in problems(Answers(qemu=NEW_QEMU, qemu_build=build))["qemu_build", "flags"]


def test_this_machines_own_target_must_be_among_them() -> None:
    build = QemuBuildAnswer(targets=("aarch64-softmmu",))
    assert (
        "Add x86_64-softmmu." in problems(Answers(qemu=NEW_QEMU, qemu_build=build))["qemu_build", "targets"]
    )
    both = QemuBuildAnswer(targets=("aarch64-softmmu", "x86_64-softmmu"))
    assert problems(Answers(qemu=NEW_QEMU, qemu_build=both)) == {}


def test_a_base_that_cannot_be_had(tmp_path: Path) -> None:
    def found(build: KernelBuildAnswer, facts: Facts | None = None) -> dict[tuple[str, str], str]:
        return problems(Answers(kernel=NEW_KERNEL, kernel_build=build), facts)

    unread = make_facts(
        kernel={"configuration_source": None, "options": Unknown(unknown=UnknownReason.NOT_SHOWN)}
    )
    for base in ("running", "localmodconfig"):
        build = KernelBuildAnswer.model_validate({"base": base})
        assert ("kernel_build", "base") in found(build, unread)
        assert found(build) == {}
    assert found(KernelBuildAnswer(base="defconfig"), unread) == {}
    assert completed_answers(Answers(kernel=NEW_KERNEL), unread).kernel_build == KernelBuildAnswer(
        base="defconfig"
    )
    assert ("kernel_build", "base_file") in found(KernelBuildAnswer(base="file"))
    missing = KernelBuildAnswer(base="file", base_file=str(tmp_path / "config"))
    assert "There is no file" in found(missing)["kernel_build", "base_file"]
    (tmp_path / "config").touch()
    assert found(missing) == {}


def test_a_compiler_must_be_here_or_in_a_package() -> None:
    def with_compiler(compiler: str, version: str = "12") -> dict[tuple[str, str], str]:
        facts = make_facts(
            distribution={"id": "debian", "version": version}, toolchain={"compilers": ("gcc", "gcc-7")}
        )
        answers = Answers(kernel=NEW_KERNEL, kernel_build=KernelBuildAnswer(compiler=compiler))
        return problems(answers, facts)

    for compiler in ("gcc", "gcc-7", "gcc-11", "clang-16"):
        assert with_compiler(compiler) == {}
    assert "There is no clang-99 here" in with_compiler("clang-99")["kernel_build", "compiler"]
    assert with_compiler("clang-99", version="99") == {}, "nobody knows what packages that release has"


def test_packages_are_made_for_apt_alone() -> None:
    facts = make_facts(distribution={"id": "fedora", "package_manager": "dnf"})
    completed = completed_answers(Answers(kernel=NEW_KERNEL), facts)
    assert completed.kernel_build is not None
    assert completed.kernel_build.install == "plain"
    build = KernelBuildAnswer(install="package")
    assert ("kernel_build", "install") in problems(Answers(kernel=NEW_KERNEL, kernel_build=build), facts)


def test_features_that_nobody_knows() -> None:
    build = KernelBuildAnswer(features=("kvm", "time-travel"))
    said = problems(Answers(kernel=NEW_KERNEL, kernel_build=build))["kernel_build", "features"]
    assert "time-travel" in said


def test_a_candidates_tarball_must_be_allowed_by_its_name() -> None:
    candidate = ReleaseKernel(version="7.3-rc2")
    assert (
        "Nobody signs linux-7.3-rc2.tar.gz"
        in problems(Answers(kernel=KernelAnswer(kernel=candidate)))["kernel", "kernel"]
    )
    wrong = candidate.model_copy(update={"unverified": "linux-7.3-rc1.tar.gz"})
    assert ("kernel", "kernel") in problems(Answers(kernel=KernelAnswer(kernel=wrong)))
    allowed = candidate.model_copy(update={"unverified": "linux-7.3-rc2.tar.gz"})
    assert problems(Answers(kernel=KernelAnswer(kernel=allowed))) == {}
    assert problems(Answers(kernel=KernelAnswer(kernel=GitKernel(tag="v7.3-rc2")))) == {}
    assert problems(Answers(qemu=QemuAnswer(qemu=ReleaseQemu(version="7.2.0-rc2")))) == {}


def test_local_sources_are_looked_at(tmp_path: Path) -> None:
    tree = str(linux_tree(tmp_path / "linux", 6, 12, 104, ""))
    other = str(qemu_tree(tmp_path / "qemu", "7.2.22"))

    def of(path: str, version: str = "6.12.104") -> dict[tuple[str, str], str]:
        return problems(Answers(kernel=KernelAnswer(kernel=LocalSourceKernel(path=path, version=version))))

    assert of(tree) == {}
    assert "is version 6.12.104 now" in of(tree, "6.12.103")["kernel", "kernel"]
    assert "is the source of QEMU, not of Linux" in of(other)["kernel", "kernel"]
    assert "There is no" in of(f"{tmp_path}/none")["kernel", "kernel"]
    assert "neither Linux nor QEMU" in of(str(tmp_path))["kernel", "kernel"]
    local = QemuAnswer(qemu=LocalSourceQemu(path=other, version="7.2.22"))
    assert problems(Answers(qemu=local)) == {}
    recorded = make_facts(live=False)
    gone = KernelAnswer(kernel=LocalSourceKernel(path="/none", version="6.12.104"))
    assert problems(Answers(kernel=gone), recorded) == {}


def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    answers = Answers(qemu=NEW_QEMU, sources=SourcesAnswer(qemu_key=str(tmp_path / "none.asc")))
    assert "no key file" in problems(answers)["sources", "qemu_key"]


def test_the_books_versions_and_what_they_need_here() -> None:
    facts = make_facts()
    answers = book_answers(facts)
    assert answers.kernel == KernelAnswer(kernel=ReleaseKernel(version="4.8.5"))
    assert answers.qemu == QemuAnswer(qemu=GitQemu(tag="v2.7.0"))
    assert answers.kernel_build is not None
    assert answers.qemu_build is not None
    assert answers.kernel_build.agreed == answers.qemu_build.agreed == ()
    assert answers.kernel_build.install == "package"
    found = build_problems(completed_answers(answers, facts), facts)
    assert {(problem.page, problem.field) for problem in found} == {
        ("kernel_build", "agreed"),
        ("qemu_build", "agreed"),
    }
    notes = " ".join(note.english for note in book_notes(facts))
    assert "no security fixes since 2017-01" in notes
    assert "Linux 4.8.5 builds here with" in notes
    assert "QEMU 2.7.0 builds here with" in notes


def test_the_books_way_is_open_once_all_is_agreed_to() -> None:
    facts = make_facts()
    answers = book_answers(facts)
    assert answers.kernel_build is not None
    assert answers.qemu_build is not None
    tools = tools_of(facts)
    agreed = answers.model_copy(
        update={
            "kernel_build": answers.kernel_build.model_copy(
                update={"agreed": tuple(remedy.id for remedy in advise("linux", "4.8.5", tools).remedies)}
            ),
            "qemu_build": answers.qemu_build.model_copy(
                update={"agreed": tuple(remedy.id for remedy in advise("qemu", "2.7.0", tools).remedies)}
            ),
        }
    )
    assert build_problems(completed_answers(agreed, facts), facts) == ()


def test_builds_are_proposed_where_something_is_built() -> None:
    facts = make_facts()
    proposed = completed_answers(Answers(kernel=NEW_KERNEL, qemu=NEW_QEMU), facts)
    assert proposed.kernel_build == KernelBuildAnswer()
    assert proposed.qemu_build == QemuBuildAnswer()
    assert proposed.qemu_options is not None
    assert proposed.qemu_options.extras == ()
    asked = KernelBuildAnswer(jobs=3)
    assert completed_answers(Answers(kernel=NEW_KERNEL, kernel_build=asked), facts).kernel_build == asked
