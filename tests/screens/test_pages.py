"""Each page: what it shows, what Space and Enter do, what is saved."""

from pathlib import Path

from textual.widgets import Input

from kvmwizard.answers import (
    AccessAnswer,
    Answers,
    DistributionKernel,
    KeepKernel,
    KernelAnswer,
    LocalQemu,
    ReleaseKernel,
    WelcomeAnswer,
)
from kvmwizard.checks.judge import judge
from kvmwizard.host.facts import Facts
from kvmwizard.host.kvm_device import OpenOutcome
from kvmwizard.host.modules import ModuleState
from kvmwizard.session import PageName, Session, SessionStore
from screens.dialogs import TextScreen
from screens.kernel_options import module_entry, nested_entry
from screens.state import Offers
from screens.widgets.entries import Entry, Sign
from tests.facts_builder import ALICE, BOB, NOT_SHOWN, ROOT, make_facts, module_states
from tests.screens.pilots import Walk, walking
from tests.screens.test_walk import NO_QEMU, OWN_QEMU

UNLOADED = make_facts(
    modules=module_states(vhost_net=ModuleState.AVAILABLE, tun=ModuleState.AVAILABLE),
    qemu={"binaries": (), "image_tool": None},
)


def at(state_directory: Path, page: PageName, answers: Answers | None = None) -> Path:
    """The state directory, with a session saved at the page."""
    SessionStore(state_directory).save(Session(page=page, answers=answers or Answers()))
    return state_directory


def signs(walk: Walk) -> dict[str, Sign]:
    return {entry.id: entry.sign for entry in walk.entries.entries}


async def test_hardware_shows_every_check_and_explains_the_selected_one(state_directory: Path) -> None:
    facts = make_facts()
    async with walking(at(state_directory, "hardware"), facts=facts) as walk:
        assert [entry.id for entry in walk.entries.entries] == [result.id for result in judge(facts)]
        await walk.press("down")
        selected = walk.entries.selected
        assert selected is not None
        assert selected.explanation[0].text[:30] in walk.text


async def test_space_on_a_check_reads_all_of_it(state_directory: Path) -> None:
    async with walking(at(state_directory, "hardware")) as walk:
        await walk.press("space")
        assert isinstance(walk.app.screen, TextScreen)
        await walk.press("escape")
        assert walk.page.is_current


async def test_check_again_reads_the_machine_once_more(state_directory: Path) -> None:
    async with walking(at(state_directory, "hardware")) as walk:
        await walk.press("r")
        assert walk.app.readings == 2
        assert len(walk.entries.entries) > 10


async def test_an_unknown_and_a_failed_check_have_signs_of_their_own(state_directory: Path) -> None:
    facts = make_facts(
        kvm={"node": None, "opened": OpenOutcome.ABSENT, "api_version": NOT_SHOWN, "guest": NOT_SHOWN},
        iommu={"tables": NOT_SHOWN, "groups": NOT_SHOWN, "units": NOT_SHOWN},
    )
    async with walking(at(state_directory, "hardware"), facts=facts) as walk:
        assert {Sign.PASSED, Sign.FAILED, Sign.UNKNOWN} <= set(signs(walk).values())
        selected = walk.entries.selected
        assert selected is not None
        assert selected.sign is Sign.FAILED


async def test_enter_on_another_kernel_takes_it(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel")) as walk:
        assert signs(walk) == {"keep": Sign.CHOSEN, "distribution": Sign.UNCHOSEN}
        await walk.press("down", "enter")
        assert walk.page.PAGE == "kernel_options"
        answer = walk.saved.answers.kernel
        assert answer is not None
        assert answer.kernel == DistributionKernel(
            package="linux-image-amd64", version="6.12.74-2", release="6.12.74+deb13-amd64"
        )


async def test_space_chooses_and_saves_without_going_on(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel")) as walk:
        await walk.press("down", "space")
        assert walk.page.PAGE == "kernel"
        assert signs(walk) == {"keep": Sign.UNCHOSEN, "distribution": Sign.CHOSEN}
        await walk.press("up", "space")
        answer = walk.saved.answers.kernel
        assert answer is not None
        assert answer.kernel == KeepKernel()


async def test_without_an_offer_the_running_kernel_is_the_one_choice(state_directory: Path) -> None:
    nothing = Offers(kernel=None, qemu=None)
    async with walking(at(state_directory, "kernel"), offers=nothing) as walk:
        assert list(signs(walk)) == ["keep"]
        assert "offers no other one" in walk.text


async def test_modules_are_switched_in_an_order_that_loads(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_options"), facts=UNLOADED) as walk:
        await walk.select("module.vhost_net")
        await walk.press("space")
        assert signs(walk)["module.vhost_net"] is Sign.UNTICKED
        await walk.press("space")
        answer = walk.saved.answers.kernel_options
        assert answer is not None
        assert answer.modules.index("vhost_net") < answer.modules.index("tun")


async def test_nesting_steps_through_its_three_ways(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_options")) as walk:
        await walk.select("nested")
        stored = []
        for _ in range(3):
            await walk.press("space")
            answer = walk.saved.answers.kernel_options
            assert answer is not None
            stored.append(answer.nested)
        assert stored == [True, False, None]


async def test_where_nothing_can_be_changed_the_page_says_so_and_lets_go_on(state_directory: Path) -> None:
    facts = make_facts(
        modules={
            **module_states(kvm=ModuleState.BUILT_IN, kvm_intel=ModuleState.BUILT_IN),
            "loadable": False,
        },
        iommu={"tables": (), "groups": 0},
    )
    async with walking(at(state_directory, "kernel_options"), facts=facts) as walk:
        assert "Nothing can be changed here" in walk.text
        assert not {Sign.TICKED, Sign.UNTICKED} & set(signs(walk).values())
        before = walk.saved
        await walk.press("down", "space")
        assert walk.saved == before
        await walk.press("escape" if isinstance(walk.app.screen, TextScreen) else "shift", "enter")
        assert walk.page.PAGE == "qemu"


async def test_of_a_kernel_that_is_not_here_yet_nothing_is_said_that_is_true_of_the_running_one(
    state_directory: Path,
) -> None:
    facts = make_facts(
        modules={**module_states(kvm=ModuleState.BUILT_IN), "loadable": False},
        iommu={"tables": (), "groups": 0},
    )
    answers = Answers(
        welcome=WelcomeAnswer(route="source"), kernel=KernelAnswer(kernel=ReleaseKernel(version="6.12.104"))
    )
    async with walking(at(state_directory, "kernel_options", answers), facts=facts) as walk:
        assert "the running kernel takes no modules" in " ".join(walk.text.split())
        assert "Come back once the new kernel runs." in " ".join(walk.text.split())


def test_a_module_of_a_kernel_without_modules_has_no_switch() -> None:
    facts = make_facts(modules={**module_states(tun=ModuleState.AVAILABLE), "loadable": False})
    entry = module_entry(facts.modules.modules["tun"], facts, chosen=False)
    assert entry.sign is Sign.NOT_APPLICABLE


def test_nesting_tells_how_it_is_now() -> None:
    assert "(on)" in nested_entry(make_facts(modules={"nested": True}), None).detail
    assert "(off)" in nested_entry(make_facts(modules={"nested": False}), None).detail


async def test_a_qemu_already_here_can_be_chosen(state_directory: Path) -> None:
    facts = make_facts(qemu={"binaries": (OWN_QEMU,)})
    answers = Answers()
    async with walking(at(state_directory, "qemu", answers), facts=facts) as walk:
        await walk.select(OWN_QEMU.path)
        await walk.press("enter")
        assert walk.page.PAGE == "access"
        answer = walk.saved.answers.qemu
        assert answer is not None
        assert answer.qemu == LocalQemu(path=OWN_QEMU.path)
        assert "of 9" in walk.text


async def test_the_package_is_shown_with_its_version(state_directory: Path) -> None:
    async with walking(at(state_directory, "qemu"), facts=NO_QEMU) as walk:
        assert "qemu-system-x86 1:7.2+dfsg-7" in walk.text


async def test_extras_are_switched(state_directory: Path) -> None:
    async with walking(at(state_directory, "qemu_options"), facts=NO_QEMU) as walk:
        await walk.press("space")
        answer = walk.saved.answers.qemu_options
        assert answer is not None
        assert answer.extras == ()


def people() -> Facts:
    return make_facts(users={"accounts": (ROOT, ALICE, BOB), "caller": "alice", "sudo_caller": None})


async def test_access_proposes_the_person_and_tells_what_holds(state_directory: Path) -> None:
    async with walking(at(state_directory, "access"), facts=people()) as walk:
        assert signs(walk)["user.alice"] is Sign.CHOSEN
        await walk.select("user.bob")
        assert "may not use /dev/kvm" in walk.text
        assert "joins the group kvm" in walk.text
        await walk.press("enter")
        answer = walk.saved.answers.access
        assert answer == AccessAnswer(user="bob", now=True)


async def test_also_at_once_is_switched(state_directory: Path) -> None:
    async with walking(at(state_directory, "access"), facts=people()) as walk:
        await walk.select("now")
        await walk.press("space")
        assert walk.saved.answers.access == AccessAnswer(user="alice", now=False)


async def test_a_user_who_is_gone_is_refused_in_place(state_directory: Path) -> None:
    answers = Answers(access=AccessAnswer(user="nobody_such"))
    async with walking(at(state_directory, "access", answers), facts=people()) as walk:
        await walk.select("now")
        await walk.press("enter")
        assert walk.page.PAGE == "access"
        assert "nobody_such" in walk.notice


async def test_help_tells_the_keys_and_leads_back(state_directory: Path) -> None:
    async with walking(at(state_directory, "access"), facts=people()) as walk:
        await walk.press("question_mark")
        assert "No answer is lost" in walk.text
        await walk.press("escape")
        assert walk.page.is_current


async def test_every_key_shown_is_in_the_command_palette(state_directory: Path) -> None:
    async with walking(at(state_directory, "hardware")) as walk:
        titles = {command.title for command in walk.app.get_system_commands(walk.app.screen)}
        assert {"Check again", "Next", "Back", "Help", "Quit"} <= titles


async def test_the_command_palette_asks_in_our_words(state_directory: Path) -> None:
    async with walking(at(state_directory, "hardware")) as walk:
        for _ in range(2):
            await walk.pilot.press("ctrl+p")
            await walk.pilot.pause()
            assert walk.app.screen.query_one(Input).placeholder == "Search for what to do…"
        await walk.pilot.press("escape")
        await walk.pilot.pause()
        assert walk.page.is_current


async def test_a_click_on_a_key_is_that_key(state_directory: Path) -> None:
    async with walking(at(state_directory, "hardware")) as walk:
        line = walk.text.splitlines()[-1]
        await walk.pilot.click(offset=(line.index("Enter") + 1, 23))
        await walk.pilot.pause()
        assert walk.page.PAGE == "kernel"


async def test_q_leaves_with_everything_saved(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel")) as walk:
        await walk.press("down", "space")
        await walk.pilot.press("q")
        await walk.pilot.pause()
        assert walk.app.return_value == 0
    saved = SessionStore(state_directory).load().session
    assert saved.answers.kernel is not None


async def test_the_keys_tell_what_they_do_with_the_selected_line(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel")) as walk:
        assert "Enter Next" in walk.text
        await walk.press("down")
        assert "Enter Take this" in walk.text
        await walk.press("space")
        assert "Enter Next" in walk.text


async def test_where_nothing_can_be_switched_space_reads(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_options")) as walk:
        await walk.select("iommu")
        assert "Space Read all" in walk.text
        await walk.select("nested")
        assert "Space Switch" in walk.text


async def test_a_scroll_bar_that_comes_with_more_lines_hides_no_letters(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel"), size=(40, 10)) as walk:
        rows = tuple(Entry(str(number), Sign.PASSED, "title", "detail", "end") for number in range(9))
        walk.entries.show_entries(rows[:3])
        await walk.pilot.pause()
        assert walk.text.count("end") == 3
        walk.entries.show_entries(rows)
        await walk.pilot.pause()
        shown = [line for line in walk.text.splitlines() if "title" in line]
        assert shown
        assert all(line.rstrip().endswith("end") for line in shown)
