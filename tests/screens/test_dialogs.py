"""Questions on terminals of every size: what answers them and the keys are always in sight."""

from pathlib import Path

import pytest

from kvmwizard.words import Words, say
from screens.dialogs import Question
from screens.onlooker import OnlookerScreen
from screens.text_dialog import TextDialog
from screens.unverified import naming_dialog
from tests.screens.pilots import Walk, walking

SIZES = [(40, 12), (80, 20), (80, 24), (120, 36)]
REPORT = (
    "Write this report to /home/somebody/kvmwizard-report-20261123-030454.tar.gz? Taken out: 2 user names; "
    "1 host name; 4 machine or disk ids."
)
FILES = tuple(f"run/logs/step-{number}.log   {number} kB   1 machine or disk id" for number in range(20))
PLACE = (
    "/var/lib/kvmwizard/session.json cannot be used: No space left on device. Make room or allow reading and "
    "writing there, or name another directory with --state-dir DIRECTORY. Keep your answers in "
    "/run/user/1000/kvmwizard instead?"
)
PROPOSALS = tuple((f"https://{number}.example/linux/", f"https://{number}.example/") for number in range(9))


def refused(_text: str) -> Words:
    return say("That is no address of a server: {address}. {end}", address="x" * 40, end="It ends here.")


async def resize(walk: Walk, size: tuple[int, int]) -> None:
    await walk.pilot.resize_terminal(*size)
    await walk.pilot.pause()


@pytest.mark.parametrize(("asked", "details"), [(REPORT, FILES), (PLACE, ()), ("Stop the run?", ())])
async def test_a_question_shows_its_answers_and_keys_on_every_terminal(
    state_directory: Path, asked: str, details: tuple[str, ...]
) -> None:
    async with walking(state_directory) as walk:
        await walk.app.push_screen(Question(asked, no="No, do nothing", yes="Yes, do it", details=details))
        for size in ((20, 5), *SIZES):
            await resize(walk, size)
            assert "▸ No, do nothing" in walk.text
            assert "Yes, do it" in walk.text
            assert "Enter Answer" in walk.text
            assert asked[:10] in walk.text
            await walk.pilot.press("down")
            await walk.pilot.pause()
            assert "▸ Yes, do it" in walk.text
            await walk.pilot.press("up")


async def test_what_does_not_fit_of_a_question_can_be_scrolled_to(state_directory: Path) -> None:
    async with walking(state_directory, size=(40, 12)) as walk:
        question = Question(REPORT, no="No", yes="Yes", details=FILES)
        await walk.app.push_screen(question)
        await walk.pilot.pause()
        assert "PgDn More" in walk.text
        assert "← Back" in walk.text
        assert "step-19.log" not in walk.text
        await walk.pilot.press(*["pagedown"] * 20)
        await walk.pilot.pause()
        assert "step-19.log" in walk.text
        assert "▸ No" in walk.text
        await walk.pilot.press(*["pageup"] * 20)
        await walk.pilot.pause()
        assert "Write this report" in walk.text


async def test_what_fits_needs_no_more_room_and_is_not_scrolled(state_directory: Path) -> None:
    async with walking(state_directory, size=(80, 24)) as walk:
        await walk.app.push_screen(Question("Stop the run?", no="No", yes="Yes", details=("one", "two")))
        await walk.pilot.pause()
        assert "PgDn" not in walk.text
        box = [line for line in walk.text.splitlines() if "│" in line or "┌" in line or "└" in line]
        assert len(box) == len(("┌", "question", "", "one", "two", "", "No", "Yes", "─", "keys", "└"))
        await walk.pilot.resize_terminal(40, 8)
        await walk.pilot.pause()
        assert "▸ No" in walk.text
        assert "Enter Answer" in walk.text


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]])
async def test_a_typed_answer_its_refusal_and_the_keys_are_in_sight(
    state_directory: Path, size: tuple[int, int]
) -> None:
    async with walking(state_directory, size=size) as walk:
        await walk.app.push_screen(TextDialog(PLACE, "typed", rule=refused, proposals=PROPOSALS))
        await walk.pilot.pause()
        assert "/var/lib" in walk.text
        await walk.pilot.press("enter")
        await walk.app.workers.wait_for_complete()
        await walk.pilot.pause()
        assert "ends here." in walk.text
        assert "typed" in walk.text
        assert "Enter Take this" in walk.text
        await walk.pilot.press("down")
        await walk.pilot.pause()
        assert "▸ https://1.example/" in walk.text or "▸  https://1.example/" in walk.text


async def test_an_unverified_file_is_named_in_sight_of_the_keys(state_directory: Path) -> None:
    async with walking(state_directory) as walk:
        await walk.app.push_screen(naming_dialog("linux-6.1.192.tar.xz"))
        for size in SIZES:
            await resize(walk, size)
            await walk.pilot.press(*["pageup"] * 4)
            await walk.pilot.pause()
            assert "Enter Take this" in walk.text
            assert "Nothing shows" in walk.text
            await walk.pilot.press(*["pagedown"] * 4)
            await walk.pilot.pause()
            assert "type its name:" in " ".join(walk.text.replace("│", " ").split())


async def test_a_second_wizard_s_choices_are_in_sight(state_directory: Path) -> None:
    async with walking(state_directory) as walk:
        screen = OnlookerScreen(walk.state)
        await walk.app.push_screen(screen)
        screen.still_held()
        for size in SIZES:
            await resize(walk, size)
            for shown in ("Try again", "End the other one", "Quit", "Choose"):
                assert shown in walk.text
