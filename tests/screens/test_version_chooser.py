"""Choosing a version: searching, what is said of each, and where the list comes from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from textual.widgets import Input

from kvmwizard.answers import Answers, KernelAnswer, ReleaseKernel, SourcesAnswer, WelcomeAnswer
from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say
from screens.dialogs import TextScreen
from screens.mirrors import MirrorsScreen
from screens.text_dialog import TextDialog
from screens.version_chooser import VersionChooser
from screens.widgets.entry_list import EntryList
from screens.widgets.frame import Notice
from screens.widgets.search_line import SearchLine
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey
from tests.screens.listings import LINUX, fill, listing, version
from tests.screens.pilots import Walk, walking

SOURCE = Answers(welcome=WelcomeAnswer(route="source"))


def at_kernel(state_directory: Path, answers: Answers = SOURCE) -> Path:
    SessionStore(state_directory).save(Session(page="kernel", answers=answers))
    return state_directory


async def opened(walk: Walk, entry: str = "release") -> VersionChooser:
    """The chooser of the page's entry, over the lists that are there."""
    fill(walk.state)
    await walk.select(entry)
    await walk.press("enter")
    assert isinstance(walk.app.screen, VersionChooser)
    return walk.app.screen


def shown(chooser: VersionChooser) -> list[str]:
    return [entry.title for entry in chooser.query_one(EntryList).entries]


async def test_releases_are_listed_newest_first_and_candidates_apart(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        chooser = await opened(walk)
        releases = [entry.version for entry in LINUX if not entry.candidate]
        assert shown(chooser) == releases
        await walk.press("c")
        assert shown(chooser) == ["6.19-rc3", *releases]
        assert "release candidate" in walk.text
        await walk.press("c")
        assert shown(chooser) == releases


async def test_marks_are_words_with_their_dates(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        await opened(walk)
        for words in ("newest", "long-term until 2028-12", "as in the book, end of life since 2017-01"):
            assert words in walk.text


async def test_a_digit_begins_a_search_and_every_key_filters(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        chooser = await opened(walk)
        await walk.press("6", ".", "1", "down", "down")
        selected = chooser.query_one(EntryList).selected
        assert selected is not None
        assert selected.title == "6.1.192", "the arrows look while one types"
        await walk.press("2")
        assert shown(chooser) == ["6.12.104"]
        await walk.press("backspace", "backspace")
        assert shown(chooser)[:1] == ["6.18.2"]
        assert chooser.query_one(SearchLine).text == "6."


async def test_letters_are_searched_for_while_typing_and_keys_else(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        chooser = await opened(walk)
        await walk.press("slash")
        await walk.paste("book")
        assert shown(chooser) == ["4.8.5"]
        assert "c Candidates" not in walk.text
        await walk.press("escape")
        assert "c Candidates" in walk.text
        assert shown(chooser) == ["4.8.5"], "what was typed still counts"
        await walk.press("enter")
        answer = walk.saved.answers.kernel
        assert answer == KernelAnswer(kernel=ReleaseKernel(version="4.8.5"))


async def test_help_opens_from_the_chooser_and_leads_back_to_it(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        chooser = await opened(walk)
        for key in ("question_mark", "f1"):
            await walk.press(key)
            assert isinstance(walk.app.screen, TextScreen)
            assert "Do what the last line of the page says." in walk.text
            await walk.press("question_mark")
            assert walk.app.screen_stack[-1] is chooser
        await walk.press("m", "question_mark")
        assert isinstance(walk.app.screen, TextScreen)
        await walk.press("escape")
        assert isinstance(walk.app.screen, MirrorsScreen)


async def test_while_one_types_the_letters_of_the_program_s_keys_are_typed(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        chooser = await opened(walk)
        await walk.press("slash", "q", "question_mark", "slash")
        assert chooser.query_one(SearchLine).text == "q?/"
        assert walk.app.screen is chooser
        assert "? Help" not in walk.text
        await walk.press("f1")
        assert isinstance(walk.app.screen, TextScreen)
        await walk.press("escape")
        assert chooser.query_one(SearchLine).has_focus


@pytest.mark.parametrize("keys", [("q",), ("m", "q")], ids=["chooser", "mirrors"])
async def test_the_wizard_can_be_left_from_the_chooser(state_directory: Path, keys: tuple[str, ...]) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        await opened(walk)
        await walk.press(*keys[:-1])
        await walk.pilot.press(keys[-1])
        assert walk.app.return_value == ExitCode.GOOD


@pytest.mark.parametrize(
    ("columns", "also"), [(80, ()), (130, ("↑↓ Look", "Space More", "q Quit"))], ids=["narrow", "wide"]
)
async def test_the_keys_of_the_chooser_have_room(
    state_directory: Path, columns: int, also: tuple[str, ...]
) -> None:
    own = ("/ Search", "m Mirrors", "r Relist", "← Back", "Enter Take", "? Help", *also)
    async with walking(at_kernel(state_directory), size=(columns, 24)) as walk:
        await opened(walk)
        for candidates in ("c Candidates", "c Hide candidates"):
            line = walk.text.splitlines()[-1]
            assert [key for key in (*own, candidates) if key not in line] == []
            await walk.press("c")
        await walk.press("m")
        line = walk.text.splitlines()[-1]
        for key in ("Space Change", "Enter Use these", "← Back", "q Quit", "? Help"):
            assert key in line


async def test_what_is_found_nowhere_leaves_nothing_to_take(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        chooser = await opened(walk)
        await walk.press("9", "9", "9")
        assert shown(chooser) == []
        assert "none" in walk.text
        await walk.press("enter")
        assert walk.app.screen is chooser


async def test_at_most_three_hundred_are_shown_and_the_rest_is_counted(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        many = tuple(version(f"5.{line}.{patch}") for line in range(20) for patch in range(100))
        await opened(walk)
        await walk.press("escape")
        walk.state.listings["linux", "release"] = listing("linux", many)
        await walk.press("enter")
        assert isinstance(walk.app.screen, VersionChooser)
        assert len(shown(walk.app.screen)) == 300
        assert "the first 300 of 2,000" in walk.text


async def test_the_verdict_and_the_keys_of_the_selected_version_are_told(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        await opened(walk)
        assert "Nothing is known against building Linux 6.18.2 here." in walk.text
        assert "B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1" in walk.text
        await walk.press("end")
        assert "needs another toolchain" in walk.text
        await walk.press("space")
        assert isinstance(walk.app.screen, TextScreen)


async def test_a_candidate_tarball_is_taken_by_its_typed_name_alone(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        await opened(walk)
        await walk.press("c", "home", "enter")
        assert isinstance(walk.app.screen, TextDialog)
        await walk.paste("yes")
        await walk.press("enter")
        assert isinstance(walk.app.screen, TextDialog)
        assert "That is not its name" in walk.text
        await walk.press("ctrl+u")
        await walk.paste("linux-6.19-rc3.tar.gz")
        await walk.press("enter")
        answer = walk.saved.answers.kernel
        assert answer == KernelAnswer(
            kernel=ReleaseKernel(version="6.19-rc3", unverified="linux-6.19-rc3.tar.gz")
        )


async def test_a_list_from_the_cache_tells_its_age_and_why(state_directory: Path) -> None:
    async with walking(at_kernel(state_directory)) as walk:
        await opened(walk)
        await walk.press("escape")
        walk.state.listings["linux", "release"] = listing(
            "linux", LINUX, origin="cache", age=3 * 86400, notices=(say("No server answered."),)
        )
        await walk.press("enter")
        assert "from the cache, 3 days old" in walk.text
        assert "No server answered." in walk.text


async def until_listed(walk: Walk, *versions: str) -> VersionChooser:
    """Wait for what a server lists."""
    for _ in range(200):
        await walk.pilot.pause(0.05)
        chooser = walk.app.screen
        if isinstance(chooser, VersionChooser) and set(versions) <= set(shown(chooser)):
            notice = chooser.query_one("#notice", Notice).text
            if "Asking" not in notice:
                return chooser
    raise AssertionError(f"{versions} not listed:\n{walk.text}")


@pytest.fixture(scope="module")
def linux_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    tree.joinpath("Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\n", encoding="ascii")
    return tree


async def test_mirrors_are_set_asked_and_kept(
    state_directory: Path, mirror: Mirror, signing_key: SigningKey, linux_tree: Path
) -> None:
    mirror.layout.add_kernel("6.1.192", linux_tree)
    mirror.layout.add_kernel("6.1.7", linux_tree)
    async with walking(at_kernel(state_directory)) as walk:
        await opened(walk)
        await walk.press("m")
        assert isinstance(walk.app.screen, MirrorsScreen)
        await walk.press("space")
        assert "https://cdn.kernel.org/pub/linux/kernel" in walk.text, "known servers can be chosen"
        await walk.paste("no address")
        await walk.press("enter")
        assert "must be an address" in walk.text
        line = walk.app.screen.query_one(Input)
        await walk.press("down", "down", "up")
        assert line.value == "https://cdn.kernel.org/pub/linux/kernel", "what is proposed is put there"
        await walk.press("ctrl+u")
        await walk.paste(mirror.kernel_url)
        await walk.press("enter", "end", "space")
        await walk.paste(str(signing_key.public))
        await walk.press("enter")
        assert signing_key.fingerprint[:8] in walk.text
        await walk.press("enter")
        chooser = await until_listed(walk, "6.1.192", "6.1.7")
        assert shown(chooser) == ["6.1.192", "6.1.7"]
        assert "listed just now" in walk.text
        sources = walk.saved.answers.sources
        assert sources == SourcesAnswer(kernel_mirror=mirror.kernel_url, kernel_key=str(signing_key.public))
        mirror.layout.add_kernel("6.1.193", linux_tree)
        await walk.press("r")
        await until_listed(walk, "6.1.193")


async def test_a_server_that_is_gone_leaves_the_cache_and_says_so(
    state_directory: Path, tmp_path: Path, linux_tree: Path
) -> None:
    with SigningKey.make() as key, Mirror(tmp_path / "mirror", key) as mirror:
        mirror.layout.add_kernel("6.1.192", linux_tree)
        answers = SOURCE.model_copy(update={"sources": SourcesAnswer(kernel_mirror=mirror.kernel_url)})
        async with walking(at_kernel(state_directory, answers)) as walk:
            await walk.select("release")
            await walk.press("enter")
            await until_listed(walk, "6.1.192")
    async with walking(at_kernel(state_directory, answers)) as walk:
        await walk.select("release")
        await walk.press("enter")
        await until_listed(walk, "6.1.192")
        assert "from the cache" in walk.text


def test_the_engine_of_the_chooser_is_not_read_in_before_it_is_opened() -> None:
    program = (
        "import sys, json, screens.app, screens.welcome, screens.dialogs\n"
        "print(json.dumps([name for name in ('pydantic', 'httpx', 'screens.version_chooser', "
        "'kvmwizard.catalog.listing') if name in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(result.stdout) == []
