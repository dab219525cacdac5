"""Draws the README's pictures of the wizard from a described machine: python -m tests.pictures."""

import asyncio
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from html import escape
from pathlib import Path

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme

from kvmwizard.answers import (
    Answers,
    KernelAnswer,
    QemuAnswer,
    ReleaseKernel,
    ReleaseQemu,
    completed_answers,
)
from kvmwizard.checks.results import Outcome
from kvmwizard.host.facts import Facts
from kvmwizard.host.kvm_device import OpenOutcome
from kvmwizard.host.modules import ModuleState
from kvmwizard.plan.make import make_plan
from kvmwizard.proof.model import LevelId, Proof, ProofLevel
from kvmwizard.resources import asset_path
from kvmwizard.run.model import RunState, RunStatus, StepProgress, StepState, StepStatus
from kvmwizard.words import Words, say
from screens.kernel import KernelPage
from screens.kernel_build import KernelBuildPage
from screens.proof import ProofPage
from screens.run import RunPage
from screens.run_watch import RunSight
from screens.version_chooser import VersionChooser
from tests.facts_builder import BOB, NOT_PERMITTED, make_facts, module_states
from tests.screens.listings import fill
from tests.screens.pilots import Walk, walking

SIZE = (80, 24)
CELL_WIDTH, CELL_HEIGHT, FONT_SIZE, BASELINE, MARGIN = 8.4, 18, 14, 13.5, 14
FONTS = "ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace"
THEME = TerminalTheme(
    (27, 30, 36),
    (215, 218, 224),
    [
        *((59, 64, 72), (224, 108, 117), (129, 193, 106), (226, 187, 95)),
        *((97, 160, 238), (198, 120, 221), (86, 190, 202), (215, 218, 224)),
    ],
    [
        *((92, 99, 112), (224, 108, 117), (129, 193, 106), (226, 187, 95)),
        *((97, 160, 238), (198, 120, 221), (86, 190, 202), (255, 255, 255)),
    ],
)
BOOTED = say("A disk booted and powered off.")
RULES = "─━"
"""Drawn as lines: the letters of a font leave gaps between them."""
WORDS = re.compile("─+|━+|[^─━ ]+| +")


class ToldProofPage(ProofPage):
    """Proves nothing by itself: a picture must be the same on every machine."""

    def _begin(self) -> None:
        self.state_changed()


def level(name: LevelId, title: Words, found: Words, seconds: float) -> ProofLevel:
    """A level of the proof that was passed."""
    if found is BOOTED:
        found = say("A disk booted and powered off in {seconds} s.", seconds=seconds)
    return ProofLevel(id=name, title=title, outcome=Outcome.PASS, found=found, seconds=seconds)


async def hardware(walk: Walk) -> None:
    """The wizard's first look at a machine whose user is not let in yet."""
    await walk.enter_until("hardware")


async def run(walk: Walk) -> None:
    """QEMU being installed."""
    assert walk.state.machine is not None
    facts = walk.state.machine.facts
    plan = make_plan(facts, completed_answers(Answers(), facts))
    steps = {step.id: StepState() for step in plan.steps}
    steps["packages.refresh"] = StepState(status=StepStatus.DONE, started=0, ended=2)
    steps["packages.install"] = StepState(status=StepStatus.RUNNING, attempts=1, started=time.time() - 14.2)
    state = RunState(run_id="1", plan=plan, status=RunStatus.RUNNING, steps=steps, began=0, ended=None)
    sight = RunSight(
        state=state,
        progress={
            "packages.install": StepProgress(fraction=0.61, words=say("Unpacking qemu-system-data (all)"))
        },
        log_step="packages.install",
        log_lines=(
            "Unpacking libslirp0:amd64 (4.7.0-1) ...",
            "Selecting previously unselected package qemu-system-common.",
            "Unpacking qemu-system-common (1:7.2+dfsg-7+deb12u18) ...",
            "Selecting previously unselected package qemu-system-data.",
            "Unpacking qemu-system-data (1:7.2+dfsg-7+deb12u18) ...",
        ),
    )
    page = RunPage(walk.state)
    await walk.app.switch_screen(page)
    page.post_message(RunPage.Seen(sight))


async def proof(walk: Walk) -> None:
    """All proved."""
    page = ToldProofPage(walk.state)
    await walk.app.switch_screen(page)

    levels = (
        level(
            "tiny-guest", say("Guest through /dev/kvm"), say("8 instructions, 3 exits, 0.6 ms, as bob"), 0.0
        ),
        level("qemu-without-kvm", say("QEMU boots without KVM"), BOOTED, 0.9),
        level("qemu-with-kvm", say("QEMU boots with KVM"), BOOTED, 0.4),
        level(
            "query-kvm",
            say("QEMU says it uses KVM"),
            say("Asked over QMP, QEMU says: KVM is present and in use."),
            0.2,
        ),
    )
    told = Proof(
        user="bob",
        qemu="/usr/bin/qemu-system-x86_64",
        levels=levels,
        verdict=say("KVM works: /usr/bin/qemu-system-x86_64 runs guests with it as bob."),
        good=True,
        command_line=(
            "/usr/bin/qemu-system-x86_64",
            *("-enable-kvm", "-m", "2048", "-cpu", "host", "-drive", "file=disk.img,format=raw"),
        ),
    )
    for each in told.levels:
        page.post_message(ToldProofPage.LevelDone(each))
    page.post_message(ToldProofPage.Proved(told, ()))


async def versions(walk: Walk) -> None:
    """One of the long-term releases of Linux being chosen."""
    fill(walk.state)
    await walk.app.switch_screen(KernelPage(walk.state))
    await walk.app.push_screen(VersionChooser(walk.state, "linux", "release", None))
    await walk.pilot.pause()
    await walk.pilot.press("down")


async def kernel_build(walk: Walk) -> None:
    """How that release is built."""
    kernel = KernelAnswer(kernel=ReleaseKernel(version="6.12.104"))
    walk.state.session = walk.state.with_answer(kernel)
    await walk.app.switch_screen(KernelBuildPage(walk.state))
    await walk.pilot.pause()
    await walk.pilot.press("down", "down")


async def building(walk: Walk) -> None:
    """Kernel and QEMU under way, side by side."""
    assert walk.state.machine is not None
    facts = walk.state.machine.facts
    answers = Answers(
        kernel=KernelAnswer(kernel=ReleaseKernel(version="6.12.104")),
        qemu=QemuAnswer(qemu=ReleaseQemu(version="10.1.0")),
    )
    plan = make_plan(facts, completed_answers(answers, facts))
    steps = {step.id: StepState() for step in plan.steps}
    done = StepStatus.DONE
    for name, seconds in (
        *(("packages.refresh", 2), ("build.packages", 48), ("kernel.download", 31)),
        *(("kernel.unpack", 19), ("kernel.configure", 25)),
    ):
        steps[name] = StepState(status=done, attempts=1, started=0, ended=seconds)
    began = time.time() - 300
    for name in ("kernel.compile", "qemu.download"):
        steps[name] = StepState(status=StepStatus.RUNNING, attempts=1, started=began)
    state = RunState(run_id="1", plan=plan, status=RunStatus.RUNNING, steps=steps, began=0, ended=None)
    sight = RunSight(
        state=state,
        progress={
            "kernel.compile": StepProgress(
                fraction=0.61,
                words=say("Compiling net/ipv4/tcp_input.o"),
                done=1893,
                total=3102,
                unit="steps",
                seconds_left=192,
            ),
            "qemu.download": StepProgress(
                fraction=0.88,
                words=say("Downloading qemu-10.1.0.tar.xz"),
                done=118_000_000,
                total=134_000_000,
                unit="bytes",
                seconds_left=2,
            ),
        },
        log_step="kernel.compile",
        log_lines=(
            "  CC      net/ipv4/tcp_output.o",
            "  CC      fs/ext4/inode.o",
            "  CC      net/ipv4/tcp_input.o",
        ),
    )
    page = RunPage(walk.state)
    await walk.app.switch_screen(page)
    page.post_message(RunPage.Seen(sight))


PICTURES: dict[str, Callable[[Walk], Awaitable[None]]] = {
    "hardware": hardware,
    "versions": versions,
    "kernel_build": kernel_build,
    "run": run,
    "building": building,
    "proof": proof,
}


def facts_of_the_pictures() -> Facts:
    """A Debian machine without QEMU, whose user bob is not let in yet."""
    return make_facts(
        users={"caller": BOB.name, "effective_groups": (BOB.group_id,)},
        qemu={"binaries": (), "image_tool": None},
        kvm={"opened": OpenOutcome.NOT_PERMITTED, "guest": NOT_PERMITTED, "api_version": NOT_PERMITTED},
        modules=module_states(vhost_net=ModuleState.AVAILABLE),
    )


async def picture(name: str) -> str:
    """The picture of that name, as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        state_directory = Path(folder, "state")
        state_directory.mkdir(mode=0o700)  # noqa: ASYNC240  -- nothing else goes on meanwhile
        async with walking(state_directory, facts=facts_of_the_pictures(), size=SIZE) as walk:
            await PICTURES[name](walk)
            await walk.pilot.pause(0.1)
            strips = walk.app.screen._compositor.render_strips()
            return drawn([list(strip) for strip in strips])


def drawn(rows: Iterable[Iterable[Segment]]) -> str:
    """Lines of segments as SVG that needs no font from anywhere."""
    width = SIZE[0] * CELL_WIDTH + 2 * MARGIN
    height = SIZE[1] * CELL_HEIGHT + 2 * MARGIN
    shapes = [shape for row, segments in enumerate(rows) for shape in row_shapes(row, segments)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}">',
            f'<rect width="100%" height="100%" rx="8" fill="{THEME.background_color.hex}"/>',
            f'<g font-family="{FONTS}" font-size="{FONT_SIZE}">',
            *shapes,
            "</g>",
            "</svg>",
            "",
        )
    )


def row_shapes(row: int, segments: Iterable[Segment]) -> list[str]:
    """The words and rules of one line, each at its own column."""
    shapes: list[str] = []
    column = 0
    top = MARGIN + row * CELL_HEIGHT
    for text, style, _control in segments:
        for word in WORDS.findall(text):
            if word.strip():
                shapes.append(shape_of(word, style or Style(), MARGIN + column * CELL_WIDTH, top))
            column += cell_len(word)
    return shapes


def shape_of(word: str, style: Style, left: float, top: float) -> str:
    """A word as text of exactly its cells, or a rule as a line."""
    colour = THEME.foreground_color if style.color is None else style.color.get_truecolor(THEME)
    width = cell_len(word) * CELL_WIDTH
    if not word.strip(RULES):
        y, thickness = top + CELL_HEIGHT / 2, 3 if word[0] == "━" else 1
        return (
            f'<line x1="{left:.1f}" y1="{y:g}" x2="{left + width:.1f}" y2="{y:g}" '
            f'stroke="{colour.hex}" stroke-width="{thickness}"/>'
        )
    weight = ' font-weight="bold"' if style.bold else ""
    columns = " ".join(f"{left + cells * CELL_WIDTH:.1f}" for cells in range(len(word)))
    return f'<text x="{columns}" y="{top + BASELINE:g}" fill="{colour.hex}"{weight}>{escape(word)}</text>'


def main() -> None:
    """Draw every picture where the README looks for it."""
    for name in PICTURES:
        path = asset_path(f"pictures/{name}.svg")
        path.parent.mkdir(exist_ok=True)
        path.write_text(asyncio.run(picture(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
