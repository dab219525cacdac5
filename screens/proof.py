"""Proof: guests are really run, level by level, and the command line to use is shown."""

import shlex
import threading
from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.proof.choose import FIRST_START, MAKE_DISK, chosen_qemu
from kvmwizard.proof.model import LevelId, Proof, ProofLevel
from kvmwizard.proof.prove import prove
from kvmwizard.run.leaving_out import brought_kernel
from kvmwizard.run.model import RunState
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.restart import restart_failure
from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, _, say
from screens.hardware import OUTCOME_SIGNS
from screens.kernel_boot import KernelBoot, boot_entry, kernel_boot
from screens.review import note_entry
from screens.state import WizardState
from screens.undoing import UndoingPage
from screens.widgets.entries import Entry, Part, Sign
from screens.widgets.entry_list import EntryList
from screens.widgets.explanation import Explanation

QEMU_LEVELS: frozenset[LevelId] = frozenset({"qemu-without-kvm", "qemu-with-kvm", "query-kvm"})
"""What cannot be tried without a QEMU."""


class ProofPage(UndoingPage):
    """The last page: does it work, and how is it used."""

    PAGE = "proof"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "prove_again", _("Prove again"), tooltip=_("Run the guests once more")),
        Binding("u", "undo", _("Undo"), tooltip=_("Take back what the run has changed")),
    ]

    class Waiting(Message):
        """What the proof is waiting for."""

        def __init__(self, words: Words) -> None:
            super().__init__()
            self.words = words

    class KernelBooted(Message):
        """How the kernel that was built booted as a guest, before it was installed."""

        def __init__(self, boot: KernelBoot) -> None:
            super().__init__()
            self.boot = boot

    class LevelDone(Message):
        """One level is finished."""

        def __init__(self, level: ProofLevel) -> None:
            super().__init__()
            self.level = level

    class Proved(Message):
        """All levels are finished."""

        def __init__(self, proof: Proof, notes: tuple[Words, ...]) -> None:
            super().__init__()
            self.proof = proof
            self.notes = notes

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._boots: tuple[Entry, ...] = ()
        """The line on the built kernel; none where none was built."""
        self._levels: tuple[ProofLevel, ...] = ()
        self._proof: Proof | None = None
        self._notes: tuple[Words, ...] = ()
        """What is left for the person to do, as logging in again."""
        self._waiting: Words | None = None
        self._cancelled = threading.Event()

    def body(self) -> Iterable[Widget]:
        """The levels, and what the selected one says."""
        yield EntryList(id="entries")
        yield Explanation(id="explanation")

    def on_mount(self) -> None:
        """Begin at once."""
        super().on_mount()
        self._begin()

    def on_unmount(self) -> None:
        """Whoever leaves the page waits for no guest."""
        self._cancelled.set()

    def _begin(self) -> None:
        self._levels, self._proof = (), None
        self.state.parting, self.state.guest_command = None, ""
        self._waiting = None
        self.refresh_bindings()
        self.state_changed()
        self.run_worker(self._prove, thread=True, group="proof", exclusive=True)

    def _prove(self) -> None:
        facts = gather(self.state.host or Host())
        answers = self.state.session.answers
        qemu = chosen_qemu(facts, answers)
        carried_out = self._carried_out()
        plan = None if carried_out is None else carried_out.plan
        boot = kernel_boot(plan) if plan is not None else None
        if boot is not None:
            self._tell(self.KernelBooted(boot))
        proof = prove(
            qemu,
            answers.access.user if answers.access is not None else facts.users.person,
            lambda words: self._tell(self.Waiting(words)),
            self._cancelled,
            expected_kernel=None if carried_out is None else brought_kernel(carried_out),
            not_started=None if carried_out is None else restart_failure(carried_out),
            on_level=lambda level: self._tell(self.LevelDone(level if qemu else without_qemu(level))),
        )
        notes = () if plan is None else tuple(note for note in plan.notes if note not in plan.settled)
        self._tell(self.Proved(proof, notes))

    def _tell(self, message: Message) -> None:
        if not self._cancelled.is_set():
            self.post_message(message)

    def _carried_out(self) -> RunState | None:
        """What was carried out; None where the proof came without a run."""
        run_id = self.state.session.run_id
        try:
            return RunStore(self.state.state_directory).read(run_id) if run_id is not None else None
        except RunRefused:
            return None

    @on(Waiting)
    def _is_waiting(self, event: Waiting) -> None:
        self._waiting = event.words
        self.state_changed()

    @on(KernelBooted)
    def _kernel_had_booted(self, event: KernelBooted) -> None:
        self._boots = (boot_entry(event.boot),)
        self.state_changed()

    @on(LevelDone)
    def _level_was_done(self, event: LevelDone) -> None:
        self._levels = (*self._levels, event.level)
        self.state_changed(event.level.id)

    @on(Proved)
    def _was_proved(self, event: Proved) -> None:
        self._proof, self._notes = event.proof, event.notes
        self.state.parting = event.proof.verdict
        self.state.guest_command = shlex.join(event.proof.command_line) if event.proof.good else ""
        self._waiting = None
        self.refresh_bindings()
        self.state_changed("command" if event.proof.good else None)

    def question(self) -> str:
        """The verdict, or what is being waited for."""
        if self._proof is not None:
            return str(self._proof.verdict)
        if self._waiting is not None:
            return str(self._waiting)
        return _(
            "Proving that guests run. Nothing is changed; it takes seconds, or minutes on a busy machine."
        )

    def entries(self) -> tuple[Entry, ...]:
        """How the built kernel booted, the levels, how to start a guest, and what is left to do."""
        levels = (*self._boots, *map(level_entry, self._levels))
        if self._proof is None:
            return levels
        command = (command_entry(self._proof),) if self._proof.command_line else ()
        notes = tuple(note_entry(index, note) for index, note in enumerate(self._notes))
        return (*levels, *command, *notes)

    def next_label(self) -> str:
        """There is no page after the last."""
        return _("Finish") if self._proof is not None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Undo needs a run, and everything but leaving waits for the proof's end."""
        if action == "undo":
            return self._proof is not None and self.state.session.run_id is not None
        if action == "prove_again":
            return self._proof is not None
        return super().check_action(action, parameters)

    async def action_next(self) -> None:
        """Leave; the verdict is the exit code."""
        if self._proof is not None:
            self.app.exit(ExitCode.GOOD if self._proof.good else ExitCode.NOT_GOOD)

    def action_prove_again(self) -> None:
        """Run the guests once more."""
        self._begin()

    def undo_began(self) -> None:
        """The page before watches the run that takes everything back."""
        self.post_message(self.Turned(self, "back"))


def without_qemu(level: ProofLevel) -> ProofLevel:
    """The level, with the pages that bring the QEMU it lacks; whoever reads this has the wizard open."""
    if level.id not in QEMU_LEVELS:
        return level
    remedy = say(
        "Press Esc until you are at the Review page, and Enter there to install QEMU. The QEMU page before "
        "it has others to choose."
    )
    return level.model_copy(update={"remedy": remedy})


def level_entry(level: ProofLevel) -> Entry:
    """One level as a line."""
    parts = [Part(_("Found"), str(level.found))]
    if level.remedy is not None:
        parts.append(Part(_("To do"), str(level.remedy)))
    return Entry(
        id=level.id,
        sign=OUTCOME_SIGNS[level.outcome],
        title=str(level.title),
        detail=str(level.found),
        aside=_("{seconds} s", seconds=f"{level.seconds:.1f}") if level.seconds is not None else "",
        explanation=tuple(parts),
    )


def command_entry(proof: Proof) -> Entry:
    """The command line to use, with the real path of the real binary."""
    command = shlex.join(proof.command_line)
    return Entry(
        id="command",
        sign=Sign.NONE,
        title=_("Start a guest: {command}", command=command),
        whole=True,
        explanation=(
            Part(_("Command"), command),
            Part(_("Disk"), _("Make one first: {command}", command=MAKE_DISK)),
            Part(_("First start"), str(FIRST_START)),
        ),
    )
