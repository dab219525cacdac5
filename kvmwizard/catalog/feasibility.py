"""What of the answers this machine cannot build, page by page, with what to do about it."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from kvmwizard.answers import (
    AnswerProblem,
    Answers,
    GitKernel,
    GitQemu,
    LocalSourceKernel,
    LocalSourceQemu,
    QemuBuildAnswer,
    SourceAnswer,
)
from kvmwizard.answers.proposals import packages_can_be_made, running_configuration_known
from kvmwizard.catalog.adviser import advise, tools_of
from kvmwizard.catalog.chosen import ChosenKernel, ChosenQemu, chosen_kernel, chosen_qemu
from kvmwizard.catalog.features import WORDS
from kvmwizard.catalog.images import image_of
from kvmwizard.catalog.local_source import LocalSource, read_source
from kvmwizard.catalog.places import boot_problems, folder_problems, prefix_problem
from kvmwizard.catalog.public_key import KeyRefused, read_fingerprints
from kvmwizard.catalog.qemu_flags import TARGET_SUFFIX, build_targets
from kvmwizard.catalog.sources import PROJECT_NAMES, Project, tarball_name
from kvmwizard.catalog.version import Version, parse_version
from kvmwizard.host.facts import Facts
from kvmwizard.host.qemu import emulator_architecture
from kvmwizard.packages.distributions import release_of
from kvmwizard.paths import is_file
from kvmwizard.words import Words, say

Page = Literal["kernel", "qemu"]
PAGES: dict[Project, Page] = {"linux": "kernel", "qemu": "qemu"}

PLACING_FLAGS = frozenset(
    f"--{name}"
    for name in (
        *("prefix", "bindir", "sbindir", "libdir", "libexecdir", "includedir", "datadir", "datarootdir"),
        *("mandir", "docdir", "sysconfdir", "localstatedir", "with-suffix", "with-confsuffix"),
        *("target-list", "source-path"),
    )
)
"""Of QEMU's configure: what is built, and where it is put, is asked on its own or follows from the prefix."""

NO_KERNEL_IN_A_CONTAINER = say(
    "A container has no kernel of its own, so none can be installed here. "
    "Keep the running kernel, or run kvmwizard on the machine that holds the container."
)

REMEMBERED_SOURCES = 32


def build_problems(answers: Answers, facts: Facts) -> tuple[AnswerProblem, ...]:
    """What stands against building what was chosen here; empty where nothing is known to.

    For answers that are completed, beside `answer_problems`. On the live machine it
    looks at folders and at the person's own sources.
    """
    kernel, qemu = chosen_kernel(answers), chosen_qemu(answers)
    problems: list[AnswerProblem] = []
    if kernel is not None:
        problems += _kernel_problems(kernel, facts)
        problems += boot_problems(answers, facts)
    if qemu is not None:
        problems += _qemu_problems(qemu, facts)
    problems += folder_problems(answers, facts)
    problems += _key_problems(answers, facts)
    return tuple(problems)


def _kernel_problems(chosen: ChosenKernel, facts: Facts) -> Iterator[AnswerProblem]:
    for words in host_problems(facts):
        yield AnswerProblem("kernel", "kernel", words)
    yield from _source_problems("linux", chosen.source, chosen.version, facts)
    yield from toolchain_problems("linux", chosen.version, chosen.build.agreed, facts, chosen.build.compiler)
    yield from (AnswerProblem("kernel_build", *problem) for problem in _kernel_build_problems(chosen, facts))


def host_problems(facts: Facts) -> Iterator[Words]:
    """Why no kernel that is built here can run here."""
    if isinstance(facts.environment.container, str):
        yield NO_KERNEL_IN_A_CONTAINER
    if facts.firmware.secure_boot is True:
        yield say(
            "Secure Boot is on, and it does not start a kernel that is built here, since nobody signed "
            "it. Turn Secure Boot off in the firmware's setup, or choose the distribution's kernel."
        )
    if image_of(facts.processor.architecture) is None:
        yield say(
            "kvmwizard builds no kernels for {architecture}. Keep the running kernel, or choose the "
            "distribution's.",
            architecture=facts.processor.architecture,
        )


def _kernel_build_problems(chosen: ChosenKernel, facts: Facts) -> Iterator[tuple[str, Words]]:
    build = chosen.build
    if build.base == "file":
        yield from _base_file_problems(build.base_file, facts)
    elif build.base != "defconfig" and not running_configuration_known(facts):
        yield (
            "base",
            say(
                "The running kernel's configuration cannot be read here, so no other can start from it. "
                "Choose defconfig, or give a file."
            ),
        )
    unknown = sorted(set(build.features or ()) - WORDS.keys())
    if unknown:
        yield (
            "features",
            say(
                "No feature of a KVM host is called {names}. Known are: {known}.",
                names=", ".join(unknown),
                known=", ".join(WORDS),
            ),
        )
    offered = tools_of(facts).compilers
    # Of a distribution that the table does not know, nobody knows what packages it has.
    if build.compiler not in offered and release_of(facts.distribution) is not None:
        yield (
            "compiler",
            say(
                "There is no {compiler} here, and this distribution has no package of it. Choose from: "
                "{offered}.",
                compiler=build.compiler,
                offered=", ".join(offered),
            ),
        )
    if build.install == "package" and not packages_can_be_made(facts):
        yield (
            "install",
            say(
                "kvmwizard makes packages for apt alone, which this machine does not have. Choose plain: "
                "kvmwizard undo removes plain files as well."
            ),
        )


def _base_file_problems(base_file: str | None, facts: Facts) -> Iterator[tuple[str, Words]]:
    if base_file is None:
        yield (
            "base_file",
            say("Which file the kernel's configuration starts from is not given. Give its path."),
        )
    elif facts.live and not is_file(base_file):
        yield (
            "base_file",
            say("There is no file {path} to start the kernel's configuration from.", path=base_file),
        )


def _qemu_problems(chosen: ChosenQemu, facts: Facts) -> Iterator[AnswerProblem]:
    yield from _source_problems("qemu", chosen.source, chosen.version, facts)
    yield from toolchain_problems("qemu", chosen.version, chosen.build.agreed, facts)
    yield from (AnswerProblem("qemu_build", *problem) for problem in _qemu_build_problems(chosen, facts))


def _qemu_build_problems(chosen: ChosenQemu, facts: Facts) -> Iterator[tuple[str, Words]]:
    build, architecture = chosen.build, facts.processor.architecture
    no_target = own_target_problem(build, architecture)
    if no_target is not None:
        yield "targets", no_target
    wrong_prefix = None if build.prefix is None else prefix_problem(build.prefix)
    if wrong_prefix is not None:
        yield "prefix", wrong_prefix
    for flag in build.flags:
        if flag.partition("=")[0] in PLACING_FLAGS:
            yield (
                "flags",
                say(
                    "{flag} decides where files are put or what is built, which the prefix and the targets "
                    "decide. Leave it out, and choose those.",
                    flag=flag,
                ),
            )


def own_target_problem(build: QemuBuildAnswer, architecture: str) -> Words | None:
    """Why no guest of this QEMU could use KVM; None where guests can."""
    own = emulator_architecture(architecture) + TARGET_SUFFIX
    if own in build_targets(build, architecture):
        return None
    return say(
        "The chosen targets of QEMU leave out this machine's own, and KVM helps no other. Add {target}.",
        target=own,
    )


def toolchain_problems(
    project: Project, version: Version, agreed: tuple[str, ...], facts: Facts, compiler: str = "gcc"
) -> Iterator[AnswerProblem]:
    """Why the version does not build with this compiler, or not without what was not agreed to."""
    verdict = advise(project, version.text, tools_of(facts, compiler))
    page = PAGES[project]
    if verdict.outcome == "other-toolchain":
        says = verdict.words
        for further in (*verdict.reasons[:1], *verdict.ways[:1]):
            says = say("{first} {further}", first=says, further=further)
        yield AnswerProblem(page, page, says)
    for remedy in verdict.remedies:
        if remedy.id not in agreed:
            yield AnswerProblem(
                f"{page}_build",
                "agreed",
                say(
                    "{project} {version} builds here only with this: {title}. Agree to it ({id}), or choose "
                    "another version.",
                    project=PROJECT_NAMES[project],
                    version=version.text,
                    title=remedy.title,
                    id=remedy.id,
                ),
            )


def _source_problems(
    project: Project, source: SourceAnswer, version: Version, facts: Facts
) -> Iterator[AnswerProblem]:
    page = PAGES[project]
    if isinstance(source, LocalSourceKernel | LocalSourceQemu):
        problem = _local_problem(project, source.path, version) if facts.live else None
    elif isinstance(source, GitKernel | GitQemu) or project == "qemu" or version.candidate is None:
        problem = None
    else:
        problem = unsigned_problem(tarball_name(project, version), version, source.unverified)
    if problem is not None:
        yield AnswerProblem(page, page, problem)


def unsigned_problem(name: str, version: Version, unverified: str | None) -> Words | None:
    """Why a file that nobody signs is not used; None where it was allowed by its name."""
    if unverified == name:
        return None
    return say(
        "Nobody signs {file}, so nothing can show that it is genuine. Choose the tag {tag} from "
        "git, or allow this file by its name.",
        file=name,
        tag=version.tag,
    )


def _local_problem(project: Project, path: str, version: Version) -> Words | None:
    found = known_source(path)
    if isinstance(found, Words):
        return found
    if found.project != project:
        return say(
            "{path} is the source of {found}, not of {wanted}.",
            path=path,
            found=PROJECT_NAMES[found.project],
            wanted=PROJECT_NAMES[project],
        )
    if parse_version(found.version) != version:
        return say(
            "{path} is version {found} now, and {wanted} was chosen. Choose it again.",
            path=path,
            found=found.version,
            wanted=version.text,
        )
    return None


def known_source(path: str) -> LocalSource | Words:
    """As `read_source`, which is remembered for a tarball that has not changed since."""
    place = Path(path)
    try:
        status = place.stat()
    except OSError:
        return read_source(path)
    if place.is_dir():
        return read_source(path)
    return _read_once(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=REMEMBERED_SOURCES)
def _read_once(path: str, _changed: int, _size: int) -> LocalSource | Words:
    return read_source(path)


def _key_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    if answers.sources is None or not facts.live:
        return
    for field in ("kernel_key", "qemu_key"):
        path: str | None = getattr(answers.sources, field)
        if path is None:
            continue
        try:
            read_fingerprints(Path(path))
        except KeyRefused as refused:
            yield AnswerProblem("sources", field, refused.words)
