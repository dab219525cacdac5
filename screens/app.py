"""The wizard as a Textual application: it owns the session, reads the machine, and turns the pages."""

import asyncio
import errno
import gc
import os
import signal
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.geometry import Offset, Region, Size, Spacing
from textual.message import Message
from textual.screen import Screen

from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.output import complain
from kvmwizard.paths import DirectoryNotWritable, another_place
from kvmwizard.resources import asset_path
from kvmwizard.words import Words, _, say
from screens.keyboard import KeyboardDriver
from screens.page import Page
from screens.state import ANSWER_FIELDS, Machine, Offers, WizardState
from screens.terminal import over_ssh, terminal_codeset, terminal_signs
from screens.widgets.frame import PROGRAM_BINDINGS, key_label, shown_bindings
from screens.wizard import PAGES, PageEntry, page_beside, page_named, page_to_resume

if TYPE_CHECKING:  # pydantic and the engine are read in after the first frame
    from rich.console import RenderableType
    from textual.actions import ActionParseResult

    from kvmwizard.host.host import Host
    from kvmwizard.session import Session, SessionRefused


TOLD_TO_END = say("kvmwizard was told to end, maybe by another one that goes on in its place.")
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EIO)


class WizardApp(App[int]):
    """The pages, and one session."""

    TITLE = "kvmwizard"
    CSS_PATH = asset_path("kvmwizard.tcss")
    ALLOW_SELECT = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012  -- Textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (12, "-short"), (20, "-full"), (32, "-tall")]  # noqa: RUF012  -- Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        *PROGRAM_BINDINGS,
        Binding("ctrl+q", "quit", _("Quit"), show=False, priority=True),
        Binding("ctrl+c", "quit", _("Quit"), show=False, system=True),
    ]

    class MachineRead(Message):
        """The machine was read and judged."""

        def __init__(self, machine: Machine) -> None:
            super().__init__()
            self.machine = machine

    class OffersRead(Message):
        """The package manager said what it offers."""

        def __init__(self, offers: Offers) -> None:
            super().__init__()
            self.offers = offers

    class SessionOpened(Message):
        """The session was taken and loaded, or must not be used: `refusal`, and where one could be kept."""

        def __init__(self, refusal: Words | None, place: Path | None = None) -> None:
            super().__init__()
            self.refusal = refusal
            self.place = place

    def __init__(self, state: WizardState, *, may_move: bool = False) -> None:
        """`may_move`: nobody chose the state directory, so another one can be offered in its place."""
        # The terminal's own sixteen colours: readable on every background, and short to send.
        super().__init__(driver_class=KeyboardDriver, ansi_color=True)
        self.set_reactive(App.theme, "ansi-dark")
        self.state = state
        self._may_move = may_move
        self.signs = terminal_signs(os.environ, terminal_codeset())
        self.fault: Words | None = None
        """A mistake of ours that ended the wizard: where its details are."""
        self.refusal: Words | None = None
        """Why the session cannot be used, told once the screens are closed."""
        self._leaving = False
        """Asked to end: Textual mounts nothing any more, so that nothing may be opened either."""
        self._laid_out_for: Size | None = None
        self._session_is_ready = asyncio.Event()
        """Loaded, or refused."""
        if over_ssh(os.environ):
            self.animation_level = "none"

    def on_mount(self) -> None:
        """Open the page to be at, and read the machine behind it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended_from_outside)
        if self.signs.border == "ascii":
            self.add_class("-ascii")
        if self.state.opened:
            self._session_is_ready.set()
            self.push_screen(self._onlooker() if self.state.watching_only else self._first_page())
            self.call_after_refresh(self.read_machine)
        else:
            self.push_screen(self._page(page_named("welcome")))
            opening = partial(self._open_session, loop)
            self.call_after_refresh(self.run_worker, opening, thread=True, group="session")

    def on_resize(self, event: events.Resize) -> None:
        """Let go of what was laid out for the size before: it holds itself, and would pile up for long."""
        before, self._laid_out_for = self._laid_out_for, event.size
        if before in (None, event.size):
            return
        for geometry in (Offset, Region, Size, Spacing):
            for remembered in vars(geometry).values():
                if hasattr(remembered, "cache_clear"):
                    remembered.cache_clear()
        gc.collect()

    def _open_session(self, loop: asyncio.AbstractEventLoop) -> None:
        from kvmwizard.session import SessionRefused  # noqa: PLC0415  -- imported in this thread, after the first frame

        try:
            self.state.open()
        except SessionRefused as refused:
            place = place_instead(refused) if self._may_move else None
            self.post_message(self.SessionOpened(refused.words, place))
        else:
            self.post_message(self.SessionOpened(None))
        # Not by the message: a key pressed meanwhile is being handled, and waits for this before messages do.
        loop.call_soon_threadsafe(self._session_is_ready.set)

    @on(SessionOpened)
    def _session_was_opened(self, event: SessionOpened) -> None:
        if event.refusal is not None:
            self._offer_another_place(event.refusal, event.place)
            return
        if self.state.watching_only:
            self.switch_screen(self._onlooker())
        self.read_machine()

    def _offer_another_place(self, refusal: Words, place: Path | None) -> None:
        """Say why nothing can be kept where it should be, and offer to keep it where it can be."""
        if place is None:
            self._end_with(refusal)
            return
        from screens.dialogs import Question  # noqa: PLC0415  -- hardly ever needed

        question = Question(
            _("{reason} Keep your answers in {place} instead?", reason=refusal, place=str(place)),
            no=_("No, quit"),
            yes=_("Yes, keep them there"),
        )
        self.push_screen(question, partial(self._was_offered, refusal, place))

    def _was_offered(self, refusal: Words, place: Path, agreed: bool | None) -> None:
        from kvmwizard.session import SessionRefused  # noqa: PLC0415  -- pydantic would hold the first frame up

        if not agreed:
            self._end_with(refusal)
            return
        try:
            self.state.move_to(place)
        except SessionRefused as refused:
            self._end_with(refused.words)
            return
        self.switch_screen(self._onlooker() if self.state.watching_only else self._first_page())
        self.read_machine()

    def _end_with(self, refusal: Words) -> None:
        self.refusal = refusal
        self.exit(ExitCode.WRONG_USE)

    def _onlooker(self) -> Screen[None]:
        from screens.onlooker import OnlookerScreen  # noqa: PLC0415  -- only for a second wizard

        return OnlookerScreen(self.state)

    def _first_page(self) -> Page:
        session = self.state.session
        entry = page_to_resume(session.page, session.answers, has_run=session.run_id is not None)
        if session.run_id is not None and self._was_restarted_for(session.run_id):
            entry = page_named("run")
        if self.state.notice is None and entry.name not in ("welcome", "run", "proof"):
            self.state.notice = say("You were here when kvmwizard was closed. Every answer is kept.")
        return self._page(entry)

    def _was_restarted_for(self, run_id: str) -> bool:
        """Whether the run waited for a restart, and there was one: then it comes first, wherever one was."""
        from kvmwizard.run.model import RunStatus  # noqa: PLC0415  -- only where something was run
        from kvmwizard.run.refused import RunRefused  # noqa: PLC0415  -- as above
        from kvmwizard.run.store import RunStore  # noqa: PLC0415  -- as above

        try:
            return RunStore(self.state.state_directory).read(run_id).status is RunStatus.RESTARTED
        except RunRefused:
            return False

    async def on_onlooker_screen_chosen(self, event: Message) -> None:
        """A second wizard looks on, tries for the session again, or leaves."""
        choice = getattr(event, "choice", "quit")
        if choice == "quit":
            await self.action_quit()
        elif choice == "look":
            self.switch_screen(self._page(page_named("run")))
        else:
            if choice == "take":
                await self._end_the_other()
            self._try_for_the_session()

    async def _end_the_other(self) -> None:
        from kvmwizard.run.taking_over import end_holder  # noqa: PLC0415  -- only for a second wizard
        from kvmwizard.session import SessionRefused  # noqa: PLC0415  -- as above

        try:
            await asyncio.to_thread(end_holder, self.state.store)
        except SessionRefused:
            # Trying for the session says why.
            return

    def _try_for_the_session(self) -> None:
        from kvmwizard.session import SessionRefused  # noqa: PLC0415  -- pydantic would hold the first frame up
        from screens.onlooker import OnlookerScreen  # noqa: PLC0415  -- only for a second wizard

        try:
            self.state.open()
        except SessionRefused as refused:
            self._end_with(refused.words)
            return
        if not self.state.watching_only:
            self.switch_screen(self._first_page())
        elif isinstance(self.screen, OnlookerScreen):
            self.screen.still_held()

    def read_machine(self) -> None:
        """Read and judge the machine, in a thread."""
        self.run_worker(self._read_machine, thread=True, group="machine", exclusive=True)

    def _read_machine(self) -> None:
        from screens.reading import read_machine, read_offers  # noqa: PLC0415  -- the engine is imported in this thread

        machine = read_machine(self.state.host)
        self.post_message(self.MachineRead(machine))
        self.post_message(self.OffersRead(read_offers(machine)))

    @on(MachineRead)
    def _machine_was_read(self, event: MachineRead) -> None:
        self.state.machine = event.machine
        self._tell_page()

    @on(OffersRead)
    def _offers_were_read(self, event: OffersRead) -> None:
        self.state.offers = event.offers
        self._tell_page()

    @on(Page.CheckAgain)
    def _check_again(self) -> None:
        self.state.machine = None
        self._tell_page()
        self.read_machine()

    @on(Page.Edited)
    async def _answer_was_edited(self, event: Page.Edited) -> None:
        if not await self._can_edit():
            return
        await self.save(self.state.with_answer(event.answer))
        self._tell_page()

    @on(Page.WayChosen)
    async def _way_was_chosen(self, event: Page.WayChosen) -> None:
        if not await self._can_edit():
            return
        # The book's way asks the catalogue what this machine needs.
        await self.save(await asyncio.to_thread(self.state.with_way, event.way))
        self._tell_page()

    @on(Page.Sought)
    async def _page_was_sought(self, event: Page.Sought) -> None:
        if await self._can_edit():
            await self.open_page(page_named(event.page))

    async def _can_edit(self) -> bool:
        """Whether the session is ours to change, once that is known."""
        await self._session_is_ready.wait()
        return self.state.opened and not self.state.watching_only

    @on(Page.PartSought)
    def _part_was_sought(self) -> None:
        if self.state.watching_only:
            self.switch_screen(self._onlooker())

    @on(Page.RunChosen)
    async def _run_was_chosen(self, event: Page.RunChosen) -> None:
        await self.save(self.state.session.model_copy(update={"run_id": event.run_id}))
        event.saved.set()

    @on(Page.Turned)
    async def _page_was_turned(self, event: Page.Turned) -> None:
        if not await self._can_edit():
            return
        page = self.current_page
        if page is None or page is not event.page:
            return
        beside = page_beside(page.PAGE, self.state.answers, 1 if event.direction == "next" else -1)
        if beside is not None:
            await self.open_page(beside)

    async def open_page(self, entry: PageEntry) -> None:
        """Save where one is, and show the page."""
        self.state.notice = None
        self.state.parting, self.state.guest_command = None, ""
        await self.save(self.state.with_page(entry.name))
        self.switch_screen(self._page(entry))

    async def save(self, session: "Session") -> None:
        """Keep the session, on disk before anything else happens."""
        from kvmwizard.session import SessionRefused  # noqa: PLC0415  -- pydantic would hold the first frame up

        self.state.session = session
        if self.state.watching_only:
            return
        try:
            await asyncio.to_thread(self.state.store.save, session)
        except SessionRefused as refused:
            self.state.was_not_saved(refused.words)
        else:
            self.state.was_saved(session)

    @property
    def current_page(self) -> Page | None:
        """The page that is shown, perhaps below a dialog."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Page)), None)

    def _page(self, entry: PageEntry) -> Page:
        return entry.load()(self.state)

    def _tell_page(self) -> None:
        page = self.current_page
        if page is not None and page.is_mounted:
            page.state_changed()

    def action_help(self) -> None:
        """What the keys do."""
        from screens.dialogs import TextScreen, help_paragraphs  # noqa: PLC0415  -- after the first frame

        self.push_screen(TextScreen(_("Help"), help_paragraphs()))

    def exit(
        self, result: int | None = None, return_code: int = 0, message: "RenderableType | None" = None
    ) -> None:
        """Leave; keys that were pressed in the same moment do nothing more."""
        self._leaving = True
        super().exit(result, return_code, message)

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key means, unless the wizard is being left."""
        return not self._leaving and await super().run_action(action, default_namespace, namespaces)

    async def action_quit(self) -> None:
        """Leave; everything answered is saved already."""
        self.exit(ExitCode.GOOD)

    def action_command_palette(self) -> None:
        """Textual's own list of what can be done, asking in the reader's language."""
        from textual.command import CommandPalette  # noqa: PLC0415  -- not before the first frame

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder=_("Search for what to do…"), id="--command-palette"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything that has a key has an entry in the command palette."""
        for active in shown_bindings(screen):
            binding, node = active.binding, active.node
            if not binding.tooltip:
                continue

            async def run(action: str = binding.action, node: object = node) -> None:
                await self.run_action(action, node)  # type: ignore[arg-type]  # a DOM node, which a default argument widens

            yield SystemCommand(key_label(active), binding.tooltip, run)

    def _ended_from_outside(self) -> None:
        if self.state.opened:
            from screens.standing import in_a_row  # noqa: PLC0415  -- of pages that may not be open yet

            rest = self.state.parting or say(
                "Your answers are saved; {command} opens again where you were.", command=_command(self.state)
            )
            self.state.parting = in_a_row(TOLD_TO_END, rest)
        self.exit(ExitCode.RESUMABLE)

    def _handle_exception(self, error: Exception) -> None:
        """Textual's handler for what nobody expected: no traceback reaches the terminal."""
        if self._leaving:
            # A page that was being opened misses its widgets, which nobody would see any more.
            return
        if self.is_headless:
            super()._handle_exception(error)
            return
        from kvmwizard.commands.fault import keep_details  # noqa: PLC0415  -- hardly ever needed

        self._return_code = ExitCode.NOT_GOOD
        self.fault = keep_details(self.state.state_directory, error)
        self._close_messages_no_wait()


def place_instead(refused: "SessionRefused") -> Path | None:
    """Where answers can be kept that nothing can be written for where they belong; None where nowhere."""
    reason = refused.__cause__
    written = isinstance(reason, DirectoryNotWritable) or (
        isinstance(reason, OSError) and reason.errno in NOT_WRITABLE
    )
    return another_place() if written else None


def farewell(app: WizardApp) -> tuple[Words, ...]:
    """The sentences left on the terminal after the wizard; none where nothing needs saying."""
    if app.fault is None and app.refusal is not None:
        return (app.refusal,)
    lost = not_saved(app.state)
    if lost is None:
        words = _all_is_saved(app)
        return () if words is None else (words,)
    if app.fault is not None:
        fault = say("kvmwizard met a mistake of its own and had to stop. {details}", details=app.fault)
        return (fault, lost)
    return (lost,) if app.state.parting is None else (app.state.parting, lost)


def _all_is_saved(app: WizardApp) -> Words | None:
    if app.fault is not None:
        return say(
            "kvmwizard met a mistake of its own and had to stop. Your answers are saved. {details}",
            details=app.fault,
        )
    if app.state.parting is not None:
        return app.state.parting
    if not app.state.opened or app.state.session.page in ("run", "proof"):
        return None
    return say("Your answers are saved; {command} opens again where you were.", command=_command(app.state))


def _command(state: WizardState) -> str:
    """What opens the wizard on this session again."""
    return f"kvmwizard{state.directory_option}"


def not_saved(state: WizardState) -> Words | None:
    """What of the session is not on disk, and why; None where all of it is."""
    if not state.opened or state.save_refusal is None:
        return None
    pages = pages_not_saved(state.saved, state.session)
    if not pages:
        return say(
            "Your answers are saved, but not at which page you were. {reason}", reason=state.save_refusal
        )
    return say(
        "Not saved is what you did last on: {pages}. {command} opens again with what was saved before. "
        "{reason}",
        pages=", ".join(pages),
        command=_command(state),
        reason=state.save_refusal,
    )


def pages_not_saved(saved: "Session", left: "Session") -> tuple[str, ...]:
    """The titles of the pages whose answers, or whose run, differ."""
    from screens.review import page_of_answer  # noqa: PLC0415  -- only where a save has failed

    names = {
        page_of_answer(field)
        for field in ANSWER_FIELDS.values()
        if getattr(saved.answers, field) != getattr(left.answers, field)
    }
    if saved.run_id != left.run_id:
        names.add("run")
    return tuple(str(page.title) for page in PAGES if page.name in names)


def open_wizard(*, state_directory: Path, host: "Host | None" = None, may_move: bool = False) -> int:
    """Run the wizard on this terminal, and return the exit code.

    `host` is the machine to read; by default the live one. Where nothing can be
    written to the state directory and it `may_move`, another one is offered. The
    caller has made sure that standard input and output are a terminal.
    """
    state = WizardState(state_directory, host)
    app = WizardApp(state, may_move=may_move)
    if not state.is_new:
        from kvmwizard.session import SessionRefused  # noqa: PLC0415  -- a new session is shown before pydantic is read in

        try:
            state.open()
        except SessionRefused as refused:
            # Where another place is offered, the wizard opens to do so.
            if not may_move or place_instead(refused) is None:
                complain(refused.words)
                return ExitCode.WRONG_USE
    result = app.run()
    for words in farewell(app):
        complain(words)
    if state.moved:
        complain(
            say(
                "All of it is kept in {place}. Agree to that place again when you open kvmwizard; other "
                "commands find it by --state-dir {place}",
                place=str(state.state_directory),
            )
        )
    if app.state.guest_command:
        from kvmwizard.proof.choose import FIRST_START, MAKE_DISK  # noqa: PLC0415  -- only behind a good proof

        complain(say("To start a guest from a disk of yours:"))
        complain(MAKE_DISK)
        complain(app.state.guest_command)
        complain(FIRST_START)
    return result if result is not None else app.return_code or ExitCode.GOOD
