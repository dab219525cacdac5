"""The way through the wizard: a list of pages, some of which may not apply."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kvmwizard.words import Words, say

if TYPE_CHECKING:  # a page is read in when it is opened, and pydantic after the first frame
    from kvmwizard.answers import Answers
    from kvmwizard.session import PageName
    from screens.page import Page


BUILT_SOURCES = ("release", "git", "local-source")
"""The `source` of every kernel and QEMU that is built here."""


def always(_answers: "Answers | None") -> bool:
    """The page belongs to every way."""
    return True


def kernel_is_built(answers: "Answers | None") -> bool:
    """A kernel from source has options of its own."""
    return (
        answers is not None and answers.kernel is not None and answers.kernel.kernel.source in BUILT_SOURCES
    )


def qemu_is_built(answers: "Answers | None") -> bool:
    """A QEMU from source has options of its own."""
    return answers is not None and answers.qemu is not None and answers.qemu.qemu.source in BUILT_SOURCES


def qemu_is_installed_by_us(answers: "Answers | None") -> bool:
    """Nothing is installed beside a QEMU that is here already, or built here."""
    return answers is None or answers.qemu is None or answers.qemu.qemu.source == "distribution"


@dataclass(frozen=True)
class PageEntry:
    """One page of the way."""

    name: "PageName"
    title: Words
    page: str
    """Its class, as `module:name`."""
    applies: "Callable[[Answers | None], bool]" = always
    """Whether it belongs to the way that these answers take; None: nothing was answered yet."""

    def load(self) -> "type[Page]":
        """Its class; opening a page is what imports it."""
        module, name = self.page.split(":")
        return cast("type[Page]", getattr(importlib.import_module(module), name))


PAGES: tuple[PageEntry, ...] = (
    PageEntry("welcome", say("Welcome"), "screens.welcome:WelcomePage"),
    PageEntry("hardware", say("Hardware"), "screens.hardware:HardwarePage"),
    PageEntry("kernel", say("Kernel"), "screens.kernel:KernelPage"),
    PageEntry("kernel_build", say("Kernel build"), "screens.kernel_build:KernelBuildPage", kernel_is_built),
    PageEntry("kernel_options", say("Kernel options"), "screens.kernel_options:KernelOptionsPage"),
    PageEntry("qemu", say("QEMU"), "screens.qemu:QemuPage"),
    PageEntry("qemu_build", say("QEMU build"), "screens.qemu_build:QemuBuildPage", qemu_is_built),
    PageEntry(
        "qemu_options", say("QEMU options"), "screens.qemu_options:QemuOptionsPage", qemu_is_installed_by_us
    ),
    PageEntry("access", say("Access"), "screens.access:AccessPage"),
    PageEntry("review", say("Review"), "screens.review:ReviewPage"),
    PageEntry("run", say("Run"), "screens.run:RunPage"),
    PageEntry("proof", say("Proof"), "screens.proof:ProofPage"),
)


def pages_for(answers: "Answers | None") -> tuple[PageEntry, ...]:
    """The pages of the way that these answers take."""
    return tuple(page for page in PAGES if page.applies(answers))


def page_named(name: "PageName") -> PageEntry:
    """The entry of that name."""
    return next(page for page in PAGES if page.name == name)


def page_beside(name: "PageName", answers: "Answers", steps: int) -> PageEntry | None:
    """The page so many steps before (negative) or after; None beyond either end."""
    pages = pages_for(answers)
    names = [page.name for page in pages]
    target = names.index(name) + steps
    return pages[target] if 0 <= target < len(pages) else None


def page_to_resume(name: "PageName", answers: "Answers", *, has_run: bool) -> PageEntry:
    """Where a saved session goes on: its page, or the nearest one before it that applies."""
    if name in ("run", "proof") and not has_run:
        name = "review"
    before = PAGES[: PAGES.index(page_named(name)) + 1]
    return next(page for page in reversed(before) if page.applies(answers))
