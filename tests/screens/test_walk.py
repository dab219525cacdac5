"""From page to page, back, and into a saved session."""

from pathlib import Path
from typing import get_args

import pytest

from kvmwizard.answers import Answers, LocalQemu, QemuAnswer
from kvmwizard.host.qemu import QemuBinary
from kvmwizard.session import PageName, Session, SessionStore
from screens.state import WizardState
from screens.wizard import PAGES, page_beside, page_to_resume, pages_for
from tests.facts_builder import make_facts
from tests.screens.pilots import walking

BEFORE_THE_RUN: tuple[PageName, ...] = (
    "welcome",
    "hardware",
    "kernel",
    "kernel_options",
    "qemu",
    "qemu_options",
    "access",
    "review",
)
BUILT = ("sources", "kernel_build", "qemu_build")
"""The answers that only ways with something to build have."""
NO_QEMU = make_facts(qemu={"binaries": (), "image_tool": None})
OWN_QEMU = QemuBinary(path="/opt/qemu/bin/qemu-system-x86_64", architecture="x86_64", version="9.2.0")


def test_every_page_name_has_one_page() -> None:
    assert [page.name for page in PAGES] == list(get_args(PageName))


def test_a_local_qemu_leaves_its_options_out() -> None:
    answers = Answers(qemu=QemuAnswer(qemu=LocalQemu(path=OWN_QEMU.path)))
    assert "qemu_options" not in [page.name for page in pages_for(answers)]
    beside = page_beside("qemu", answers, 1)
    assert beside is not None
    assert beside.name == "access"


def test_a_session_at_a_page_that_left_the_way_resumes_before_it() -> None:
    answers = Answers(qemu=QemuAnswer(qemu=LocalQemu(path=OWN_QEMU.path)))
    assert page_to_resume("qemu_options", answers, has_run=False).name == "qemu"


@pytest.mark.parametrize("page", ["run", "proof"])
def test_without_a_run_there_is_none_to_resume(page: PageName) -> None:
    assert page_to_resume(page, Answers(), has_run=False).name == "review"
    assert page_to_resume(page, Answers(), has_run=True).name == page


async def test_enter_alone_walks_to_the_review_and_answers_every_page(state_directory: Path) -> None:
    async with walking(state_directory, facts=NO_QEMU) as walk:
        seen = [walk.page.PAGE]
        for _ in BEFORE_THE_RUN[1:]:
            await walk.press("enter")
            seen.append(walk.page.PAGE)
        assert tuple(seen) == BEFORE_THE_RUN
        answered = walk.saved.answers
        assert all(getattr(answered, name) is not None for name in Answers.model_fields if name not in BUILT)
        assert all(getattr(answered, name) is None for name in BUILT)
        assert walk.saved.page == "review"


async def test_back_goes_the_same_way_and_loses_nothing(state_directory: Path) -> None:
    async with walking(state_directory, facts=NO_QEMU) as walk:
        await walk.enter_until("qemu_options")
        await walk.select("libvirt")
        await walk.press("space")
        await walk.press("escape", "left", "escape")
        assert walk.page.PAGE == "kernel"
        await walk.enter_until("qemu_options")
        answer = walk.saved.answers.qemu_options
        assert answer is not None
        assert "libvirt" in answer.extras


async def test_a_new_session_shows_welcome_before_it_is_loaded_and_keeps_early_keys(
    state_directory: Path,
) -> None:
    assert WizardState(state_directory).is_new
    async with walking(state_directory, opened=False) as walk:
        await walk.pilot.press("enter")
        for _ in range(100):
            await walk.pilot.pause(0.05)
            if walk.page.PAGE == "hardware":
                break
        assert walk.page.PAGE == "hardware"
        assert walk.saved.page == "hardware"
        assert walk.saved.answers.welcome is not None


async def test_a_refused_session_ends_the_wizard_with_its_words(state_directory: Path) -> None:
    (state_directory / "session.json").symlink_to("/nowhere")
    async with walking(state_directory, opened=False) as walk:
        for _ in range(100):
            await walk.pilot.pause(0.05)
            if walk.app.refusal is not None:
                break
        assert walk.app.return_value == 2
        assert walk.app.refusal is not None
        assert "session.json" in walk.app.refusal.english


async def test_before_the_first_page_there_is_none(state_directory: Path) -> None:
    async with walking(state_directory) as walk:
        await walk.press("escape")
        assert walk.page.PAGE == "welcome"


@pytest.mark.parametrize("page", BEFORE_THE_RUN)
async def test_a_saved_session_opens_at_its_page(state_directory: Path, page: PageName) -> None:
    SessionStore(state_directory).save(Session(page=page))
    async with walking(state_directory, facts=NO_QEMU) as walk:
        assert page == walk.page.PAGE
        if page != "welcome":
            assert "Every answer is kept" in walk.text


async def test_a_session_that_was_set_aside_is_told_of(state_directory: Path) -> None:
    (state_directory / "session.json").write_text('{"page":', encoding="ascii")
    async with walking(state_directory) as walk:
        assert "session.json.unreadable" in walk.notice.replace("\n", "")


async def test_the_kernel_page_waits_for_the_machine(state_directory: Path) -> None:
    SessionStore(state_directory).save(Session(page="kernel"))
    async with walking(state_directory, reads=False) as walk:
        assert "Reading this machine" in walk.text
        await walk.press("enter")
        assert walk.page.PAGE == "kernel"
        assert "still being read" in walk.notice


async def test_a_second_wizard_may_look_on_or_leave_and_changes_nothing(state_directory: Path) -> None:
    first = SessionStore(state_directory)
    assert first.lock()
    first.save(Session(page="access"))
    async with walking(state_directory) as walk:
        assert "open already in another terminal" in walk.text
        assert "Look on" not in walk.text
        await walk.press("enter")
        assert "open already in another terminal" in walk.text
        first.unlock()
        await walk.press("enter")
        assert walk.page.PAGE == "access"
        assert walk.saved.page == "access"


def lose(directory: Path) -> None:
    """Put a link in the directory's place."""
    directory.rename(directory.with_name("gone"))
    directory.symlink_to("/nowhere")


async def test_save_failures_are_told_and_the_wizard_goes_on(state_directory: Path) -> None:
    async with walking(state_directory, facts=NO_QEMU) as walk:
        await walk.enter_until("qemu_options")
        lose(state_directory)
        await walk.press("space")
        assert "symbolic link" in walk.notice.replace("\n", " ")


@pytest.mark.parametrize("size", [(20, 5), (12, 3), (40, 10), (100, 24), (200, 60)])
async def test_every_size_walks_to_the_review(state_directory: Path, size: tuple[int, int]) -> None:
    async with walking(state_directory, facts=NO_QEMU, size=size) as walk:
        await walk.enter_until("review")
        assert len(walk.text.splitlines()) == size[1]


async def test_a_terminal_that_shrinks_and_grows(state_directory: Path) -> None:
    async with walking(state_directory, facts=NO_QEMU) as walk:
        await walk.press("enter")
        for size in ((20, 5), (120, 36), (1, 1), (80, 24)):
            await walk.pilot.resize_terminal(*size)
            await walk.press("down")
        assert walk.page.PAGE == "hardware"
        assert "Hardware" in walk.text


async def test_a_wide_terminal_lists_the_pages(state_directory: Path) -> None:
    async with walking(state_directory, facts=NO_QEMU, size=(100, 24)) as walk:
        assert "Kernel options" in walk.text
    async with walking(state_directory, facts=NO_QEMU, size=(99, 24)) as walk:
        assert "Kernel options" not in walk.text
