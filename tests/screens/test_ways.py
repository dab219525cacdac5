"""The three ways in: each keeps its own kernel and QEMU, and the book's way says what it needs first."""

from pathlib import Path

import pytest

from kvmwizard.answers import (
    Answers,
    DistributionQemu,
    GitQemu,
    KeepKernel,
    KernelAnswer,
    QemuAnswer,
    QemuOptionsAnswer,
    ReleaseKernel,
    WelcomeAnswer,
)
from kvmwizard.catalog.book import book_answers, book_notes
from kvmwizard.session import Session, SessionStore
from screens.build_page import FOLDER
from screens.dialogs import Question
from screens.source_page import SOURCE_WORDS
from screens.ways import WAY_FIELDS, on_way
from screens.welcome import WAY_WORDS
from tests.facts_builder import make_facts
from tests.screens.listings import fill
from tests.screens.pilots import walking

RELEASE = KernelAnswer(kernel=ReleaseKernel(version="6.12.104"))
BUILT = Answers(
    welcome=WelcomeAnswer(route="source"),
    kernel=RELEASE,
    qemu=QemuAnswer(qemu=DistributionQemu()),
    qemu_options=QemuOptionsAnswer(extras=("libvirt",)),
)


def test_a_way_that_is_left_comes_back_as_it_was() -> None:
    session = Session(answers=BUILT)
    away = on_way(session, "packages")
    assert away.answers.kernel is None, "nothing is built on this way"
    assert away.answers.qemu == BUILT.qemu, "what holds on every way stays"
    assert on_way(away, "source").answers == BUILT


def test_the_same_way_changes_nothing() -> None:
    session = Session(answers=BUILT)
    assert on_way(session, "source") == session


def test_every_way_keeps_its_own_through_all_the_others() -> None:
    facts = make_facts()
    session = Session(answers=BUILT)
    for way in ("book", "packages", "book", "packages", "source"):
        session = on_way(session, way, book_answers(facts) if way == "book" else None)
    assert session.answers == BUILT
    assert set(session.other_ways) == {"packages", "book"}
    book = session.other_ways["book"]
    assert book.qemu == QemuAnswer(qemu=GitQemu(tag="v2.7.0"))
    assert all(getattr(book, name) is None for name in Answers.model_fields if name not in WAY_FIELDS)


async def test_from_source_offers_versions_and_packages_does_not(state_directory: Path) -> None:
    async with walking(state_directory) as walk:
        await walk.press("down", "enter", "enter")
        assert walk.place == "kernel"
        assert {"release", "git", "local-source"} <= {entry.id for entry in walk.entries.entries}
        selected = walk.entries.selected
        assert selected is not None
        assert selected.id == "release", "who wants to build begins at the releases"
        await walk.press("escape", "escape", "home", "enter", "enter")
        assert "release" not in {entry.id for entry in walk.entries.entries}


async def test_the_book_says_what_it_needs_and_fills_the_pages(state_directory: Path) -> None:
    facts = make_facts()
    async with walking(state_directory, facts=facts) as walk:
        await walk.press("end", "enter")
        await walk.pilot.pause(0.3)
        assert isinstance(walk.app.screen, Question)
        told = " ".join(walk.text.split())
        assert str(book_notes(facts)[0])[:40] in told
        await walk.press("escape")
        assert walk.place == "welcome"
        assert walk.saved.answers.kernel is None
        await walk.press("enter")
        await walk.pilot.pause(0.3)
        await walk.press("end", "enter")
        await walk.pilot.pause(0.3)
        assert walk.place == "hardware"
        assert walk.saved.answers.kernel == KernelAnswer(kernel=ReleaseKernel(version="4.8.5"))
        assert walk.saved.answers.qemu == QemuAnswer(qemu=GitQemu(tag="v2.7.0"))


async def test_answers_that_the_book_replaces_are_spoken_of_and_kept(state_directory: Path) -> None:
    SessionStore(state_directory).save(Session(answers=BUILT))
    async with walking(state_directory) as walk:
        await walk.select("book")
        await walk.press("space")
        await walk.pilot.pause(0.3)
        assert "is kept" in walk.text
        await walk.press("end", "enter")
        await walk.pilot.pause(0.3)
        assert walk.saved.answers.kernel == KernelAnswer(kernel=ReleaseKernel(version="4.8.5"))
        await walk.select("source")
        await walk.press("space")
        assert walk.saved.answers.kernel == RELEASE
        assert walk.saved.answers.qemu_options == BUILT.qemu_options


async def test_the_book_waits_for_the_machine(state_directory: Path) -> None:
    async with walking(state_directory, reads=False) as walk:
        await walk.press("end", "enter")
        assert walk.place == "welcome"
        assert "still being read" in walk.notice


@pytest.mark.parametrize(
    "size", [(80, 24), *(pytest.param(size, marks=pytest.mark.slow) for size in ((120, 36), (20, 5)))]
)
async def test_the_way_by_source_walks_to_the_review(state_directory: Path, size: tuple[int, int]) -> None:
    async with walking(state_directory, size=size) as walk:
        fill(walk.state)
        await walk.select("source")
        await walk.press("enter", "enter", "enter")
        await walk.press("enter")
        assert walk.place == "kernel"
        assert walk.page.is_current
        await walk.press("enter")
        assert walk.place == "kernel_build"
        await walk.press("enter", "enter")
        assert walk.place == "qemu"
        await walk.press("enter", "enter")
        await walk.press("enter")
        assert walk.place == "qemu_build"
        await walk.press("enter", "enter")
        await walk.pilot.pause(0.5)
        assert walk.place == "review"
        assert len(walk.text.splitlines()) == size[1]
        answers = walk.saved.answers
        assert answers.kernel == KernelAnswer(kernel=ReleaseKernel(version="6.18.2"))
        assert answers.kernel_build is not None
        assert answers.qemu_build is not None
        await walk.press("escape", "escape", "escape")
        assert walk.place == "qemu"
        assert walk.saved.answers == answers, "Back loses nothing"


def test_a_kept_kernel_is_kept_on_every_way() -> None:
    answers = Answers(welcome=WelcomeAnswer(route="source"), kernel=KernelAnswer(kernel=KeepKernel()))
    assert on_way(Session(answers=answers), "packages").answers.kernel == answers.kernel


def test_nothing_that_is_built_is_said_to_be_built_as_the_person_who_may_be_root() -> None:
    said = [
        str(FOLDER.what),
        *(str(what) for _name, what in SOURCE_WORDS.values()),
        *map(str, WAY_WORDS["source"]),
    ]
    assert sum("never as root" in words for words in said) == len(SOURCE_WORDS) + 2
    assert not [words for words in said if "built as you" in words or "as you." in words]
