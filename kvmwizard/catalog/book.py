"""The book's way: Linux 4.8.5 and QEMU 2.7.0, as close to it as this machine can come."""

from collections.abc import Iterator

from kvmwizard.answers import (
    Answers,
    GitQemu,
    KernelAnswer,
    QemuAnswer,
    QemuBuildAnswer,
    ReleaseKernel,
    WelcomeAnswer,
)
from kvmwizard.answers.proposals import proposed_kernel_build
from kvmwizard.catalog.adviser import advise, tools_of
from kvmwizard.catalog.shipped import shipped_table
from kvmwizard.catalog.sources import Project
from kvmwizard.catalog.version import parse_version
from kvmwizard.host.facts import Facts
from kvmwizard.words import Words, say


def book_answers(facts: Facts) -> Answers:
    """The book's versions, with builds that suit this machine; nothing is agreed to beforehand.

    Linux comes as a tarball, whose published sum is known. QEMU comes by its tag, whose
    commit is known: what its tarball holds beyond that is of no use here.
    """
    return Answers(
        welcome=WelcomeAnswer(route="book"),
        kernel=KernelAnswer(kernel=ReleaseKernel(version=book_version("linux"))),
        kernel_build=proposed_kernel_build(facts),
        qemu=QemuAnswer(qemu=GitQemu(tag=f"v{book_version('qemu')}")),
        qemu_build=QemuBuildAnswer(),
    )


def book_version(project: Project) -> str:
    """The version that the book builds."""
    return shipped_table(project).book


def book_notes(facts: Facts) -> tuple[Words, ...]:
    """What the book's way needs on this machine, one sentence or more a version."""
    return (*_age(), *_needs("linux", facts), *_needs("qemu", facts))


def _age() -> Iterator[Words]:
    table = shipped_table("linux")
    version = parse_version(table.book)
    line = table.lines.get(version.line) if version is not None else None
    if line is not None:
        yield say(
            "Linux {version} has had no security fixes since {end_of_life}. Try it on a machine that "
            "nobody depends on, and keep the distribution's kernel beside it.",
            version=table.book,
            end_of_life=line.end_of_life,
        )


def _needs(project: Project, facts: Facts) -> Iterator[Words]:
    verdict = advise(project, book_version(project), tools_of(facts))
    yield verdict.words
    yield from verdict.reasons
    yield from verdict.ways
