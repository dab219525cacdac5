"""The pages on how kernel and QEMU are built: agreeing, switching, stepping, typing."""

from pathlib import Path

import pytest

from kvmwizard.answers import (
    Answers,
    KernelAnswer,
    KernelBuildAnswer,
    LocalSourceKernel,
    QemuAnswer,
    QemuBuildAnswer,
    ReleaseKernel,
    ReleaseQemu,
    WelcomeAnswer,
)
from kvmwizard.catalog.adviser import advise, tools_of
from kvmwizard.catalog.features import chosen_features, features
from kvmwizard.session import PageName, Session, SessionStore
from screens.field_rules import rule_of
from screens.kernel_build import KernelBuildPage, compilers, following, with_switched
from screens.qemu_build import QemuBuildPage
from screens.text_dialog import TextDialog
from screens.widgets.entries import Sign
from screens.widgets.frame import Notice
from tests.facts_builder import make_facts, tool
from tests.screens.pilots import Walk, walking

HEALTHY = make_facts()


def at(state_directory: Path, page: PageName, kernel: str = "6.12.104", qemu: str = "10.1.0") -> Path:
    answers = Answers(
        welcome=WelcomeAnswer(route="source"),
        kernel=KernelAnswer(kernel=ReleaseKernel(version=kernel)),
        qemu=QemuAnswer(qemu=ReleaseQemu(version=qemu)),
    )
    SessionStore(state_directory).save(Session(page=page, answers=answers))
    return state_directory


def kernel_build(walk: Walk) -> KernelBuildAnswer:
    answer = walk.saved.answers.kernel_build
    assert answer is not None
    return answer


def qemu_build(walk: Walk) -> QemuBuildAnswer:
    answer = walk.saved.answers.qemu_build
    assert answer is not None
    return answer


async def typed(walk: Walk, entry: str, text: str) -> None:
    """Open the entry's line, empty it, type, and take that."""
    await walk.select(entry)
    await walk.press("space")
    assert isinstance(walk.app.screen, TextDialog)
    await walk.press("end", "ctrl+u")
    await walk.paste(text)
    await walk.press("enter")


async def test_an_old_kernel_goes_on_only_when_every_change_is_agreed_to(state_directory: Path) -> None:
    remedies = advise("linux", "4.8.5", tools_of(HEALTHY)).remedies
    assert remedies
    async with walking(at(state_directory, "kernel_build", kernel="4.8.5"), facts=HEALTHY) as walk:
        for remedy in remedies:
            selected = walk.entries.selected
            assert selected is not None
            await walk.press("enter")
            assert walk.place == "kernel_build"
            assert "builds here only with this" in " ".join(walk.notice.split())
            await walk.select(f"remedy.{remedy.id}")
            assert "cannot go on" in walk.text
            assert "Space Agree" in walk.text
            await walk.press("space")
            assert "Space Take back" in walk.text
        assert kernel_build(walk).agreed == tuple(remedy.id for remedy in remedies)
        await walk.press("enter")
        assert walk.place == "kernel_options"


async def test_an_agreement_can_be_taken_back(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_build", kernel="4.8.5"), facts=HEALTHY) as walk:
        await walk.press("space", "space")
        assert kernel_build(walk).agreed == ()


async def test_a_new_kernel_has_nothing_to_agree_to(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_build"), facts=HEALTHY) as walk:
        assert not [entry for entry in walk.entries.entries if entry.id.startswith("remedy.")]


async def test_features_are_switched_with_what_they_need(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_build"), facts=HEALTHY) as walk:
        await walk.select("feature.tun")
        await walk.press("space")
        chosen = kernel_build(walk).features
        assert chosen is not None
        assert {"tun", "vhost-net"} & set(chosen) == set()
        await walk.select("feature.vhost-net")
        await walk.press("space")
        assert {"tun", "vhost-net"} <= set(kernel_build(walk).features or ())


async def test_what_every_kernel_of_the_wizard_has_cannot_be_switched_off(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_build"), facts=HEALTHY) as walk:
        await walk.select("feature.kvm")
        selected = walk.entries.selected
        assert selected is not None
        assert selected.sign is Sign.PASSED
        before = walk.saved
        await walk.press("space", "escape")
        assert walk.saved == before


@pytest.mark.parametrize("switched", ["iommu", "vfio", "tun"])
def test_switching_twice_is_switching_nothing(switched: str) -> None:
    proposed = tuple(feature.id for feature in chosen_features("6.12", HEALTHY, None))
    on = with_switched("6.12", HEALTHY, with_switched("6.12", HEALTHY, proposed, switched), switched)
    assert switched in on
    needs = {feature.id: feature.needs for feature in features("6.12", HEALTHY)}
    assert all(set(needs[each]) <= set(on) for each in on)


async def test_the_local_version_is_typed_and_its_release_shown(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_build"), facts=HEALTHY) as walk:
        await typed(walk, "local_version", "-kvm.1")
        assert kernel_build(walk).local_version == "-kvm.1"
        assert "6.12.104-kvm.1" in walk.text


async def test_what_the_rules_refuse_is_told_in_a_sentence_and_not_saved(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_build"), facts=HEALTHY) as walk:
        before = walk.saved
        await typed(walk, "local_version", "$(reboot)")
        assert isinstance(walk.app.screen, TextDialog)
        notice = walk.app.screen.query_one("#notice", Notice)
        assert notice.text.startswith('Local version is "$(reboot)", but must be')
        await walk.press("escape")
        assert walk.saved == before


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("local_version", "-x; rm -rf /"),
        ("local_version", "kvm"),
        ("local_version", "-UPPER"),
        ("local_version", "-a\nb"),
        ("local_version", "-" + "a" * 40),
        ("jobs", "0"),
        ("jobs", "-1"),
        ("jobs", "many"),
        ("jobs", "１２"),  # noqa: RUF001  -- wide digits, which int() would take
        ("jobs", "99999"),
        ("folder", "relative/path"),
        ("folder", "~"),
        ("folder", "-rf"),
        ("base_file", "/tmp/a\x1b[2J"),
        ("flags", "enable-kvm"),
        ("flags", "--enable-kvm;reboot"),
        ("flags", "--cc=$(reboot)"),
        ("flags", "--cc='gcc'"),
        ("targets", "x86_64"),
        ("targets", "../../etc-softmmu"),
        ("targets", "x86_64-softmmu x86_64-softmmu"),
        ("prefix", "opt/qemu"),
        ("prefix", "--help"),
    ],
)
def test_hostile_texts_are_refused(field: str, text: str) -> None:
    of_kernel = field in KernelBuildPage.TYPED
    answer = KernelBuildAnswer() if of_kernel else QemuBuildAnswer()
    typed = (KernelBuildPage if of_kernel else QemuBuildPage).TYPED[field]
    refusal = rule_of(answer, field, typed.title, typed.parse)(text)
    assert refusal is not None
    assert "but must be" in refusal.english


async def test_jobs_are_proposed_typed_and_proposed_again(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel_build"), facts=HEALTHY) as walk:
        await typed(walk, "jobs", "3")
        assert kernel_build(walk).jobs == 3
        await typed(walk, "jobs", "")
        assert kernel_build(walk).jobs is None
        assert "as this machine allows" in walk.text


async def test_the_base_steps_through_and_asks_for_a_file(state_directory: Path, tmp_path: Path) -> None:
    own = tmp_path / "config"
    own.write_text("CONFIG_KVM=y\n", encoding="ascii")
    facts = make_facts(kernel={"configuration_source": "/boot/config-6.1.0-49-amd64"})
    async with walking(at(state_directory, "kernel_build"), facts=facts) as walk:
        await walk.select("base")
        await walk.press("space")
        assert kernel_build(walk).base == "running"
        await walk.press("space")
        assert kernel_build(walk).base == "defconfig"
        await walk.press("space")
        assert isinstance(walk.app.screen, TextDialog)
        await walk.press("escape")
        assert kernel_build(walk).base == "localmodconfig", "who gives no file steps over it"
        await walk.press("space", "space", "space")
        await walk.paste(str(own))
        await walk.press("enter")
        assert kernel_build(walk).base == "file"
        assert kernel_build(walk).base_file == str(own)
        await walk.press("enter")
        assert walk.place == "kernel_options"


async def test_compilers_are_stepped_through_those_here_before_those_in_packages(
    state_directory: Path,
) -> None:
    tools = {**HEALTHY.toolchain.tools, "gcc": tool("gcc", "12.2.0")}
    facts = make_facts(
        toolchain={"tools": tools, "compilers": ("gcc", "gcc-9", "gcc-12")},
        distribution={"id": "debian", "version": "12"},
    )
    assert compilers(facts)[:4] == ("gcc", "gcc-9", "gcc-12", "gcc-11")
    async with walking(at(state_directory, "kernel_build"), facts=facts) as walk:
        await walk.select("compiler")
        assert "gcc 12.2.0" in walk.text
        await walk.press("space")
        assert kernel_build(walk).compiler == "gcc-9"
        assert "not here yet" not in walk.text
        await walk.press("space", "space")
        assert kernel_build(walk).compiler == "gcc-11"
        assert "It is not here yet" in walk.text
        await walk.press(*["space"] * (len(compilers(facts)) - 3))
        assert kernel_build(walk).compiler == "gcc"


def test_stepping_begins_anew_after_the_last_and_at_what_is_offered() -> None:
    assert following(("a", "b"), "b") == "a"
    assert following(("a", "b"), "gone") == "a"


async def test_qemu_is_switched_and_typed(state_directory: Path) -> None:
    async with walking(at(state_directory, "qemu_build"), facts=HEALTHY) as walk:
        await walk.select("slirp")
        await walk.press("space")
        await typed(walk, "targets", "x86_64-softmmu aarch64-softmmu")
        await typed(walk, "prefix", "/opt/kvmwizard/mine")
        await typed(walk, "flags", "--enable-numa --extra-cflags=-O2")
        answer = qemu_build(walk)
        assert answer.slirp is False
        assert answer.targets == ("x86_64-softmmu", "aarch64-softmmu")
        assert answer.prefix == "/opt/kvmwizard/mine"
        assert answer.flags == ("--enable-numa", "--extra-cflags=-O2")
        await walk.press("enter")
        assert walk.place == "access"


async def test_an_old_qemu_asks_for_its_changes(state_directory: Path) -> None:
    async with walking(at(state_directory, "qemu_build", qemu="2.7.0"), facts=HEALTHY) as walk:
        await walk.press("enter")
        assert walk.place == "qemu_build"
        changes = [entry.id for entry in walk.entries.entries if entry.id.startswith("remedy.")]
        assert changes
        for change in changes:
            await walk.select(change)
            await walk.press("space")
        assert [f"remedy.{each}" for each in qemu_build(walk).agreed] == changes
        await walk.press("enter")
        assert walk.place == "access"


async def test_sources_of_ones_own_are_asked_for_by_their_path(state_directory: Path, tmp_path: Path) -> None:
    tree = tmp_path / "my linux"
    tree.mkdir()
    tree.joinpath("Makefile").write_text("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\n", encoding="ascii")
    async with walking(at(state_directory, "kernel"), facts=HEALTHY) as walk:
        await walk.select("local-source")
        await walk.press("enter")
        await walk.paste("/nowhere")
        await walk.press("enter")
        assert isinstance(walk.app.screen, TextDialog)
        assert "There is no /nowhere" in walk.text
        await walk.press("ctrl+u")
        await walk.paste(str(tree))
        await walk.press("enter")
        await walk.pilot.pause(0.2)
        answer = walk.saved.answers.kernel
        assert answer == KernelAnswer(kernel=LocalSourceKernel(path=str(tree), version="6.12.7"))
        assert str(tree) in {entry.detail for entry in walk.entries.entries}


async def test_a_version_that_needs_another_toolchain_is_refused_on_its_page(state_directory: Path) -> None:
    async with walking(at(state_directory, "kernel", kernel="2.6.32"), facts=HEALTHY) as walk:
        await walk.press("enter")
        assert walk.place == "kernel"
        assert "needs another toolchain" in " ".join(walk.notice.split())


async def test_the_review_leads_to_the_page_of_a_problem(state_directory: Path) -> None:
    async with walking(at(state_directory, "review", kernel="4.8.5"), facts=HEALTHY) as walk:
        await walk.pilot.pause(0.5)
        assert "Kernel build" in walk.text
        assert "Enter Go there" in walk.text
        await walk.press("enter")
        assert walk.place == "kernel_build"


async def test_every_entry_explains_itself(state_directory: Path) -> None:
    pages: tuple[PageName, ...] = ("kernel_build", "qemu_build")
    for page in pages:
        async with walking(at(state_directory, page, kernel="4.8.5", qemu="2.7.0"), facts=HEALTHY) as walk:
            assert len(walk.entries.entries) > 8
            assert all(entry.explanation for entry in walk.entries.entries)
