"""Run: the steps as they are carried out.

The run is a process of its own: this page watches it and passes on what is wanted.
"""

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from kvmwizard.run.model import RunStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, _, say
from screens.dialogs import Question
from screens.failure import FIRST_CHOICE, KEYS, headline, withheld
from screens.log_screen import LogScreen
from screens.recovering import RECOVERING_BINDINGS, RecoveringPage, choices_in
from screens.run_control import begin, go_on_quietly, stop
from screens.run_watch import RunSight, RunWatch, log_end, step_entries, why_no_log
from screens.standing import in_a_row, parting, standing, unreadable
from screens.state import WizardState
from screens.unverified import Unproven, naming_dialog, unproven_in, with_agreement
from screens.widgets.entries import Entry, Part, Sign
from screens.widgets.entry_list import EntryList
from screens.widgets.explanation import Explanation
from screens.widgets.tail import Tail

LOOK_SECONDS = 0.25
RESTING = (
    RunStatus.STOPPED,
    RunStatus.INTERRUPTED,
    RunStatus.FAILED,
    RunStatus.NEEDS_ROOT,
    RunStatus.NEEDS_RESTART,
    RunStatus.RESTARTED,
)
"""How a run stands that goes no further by itself."""

ACTING_ACTIONS = frozenset({"stop", "leave", "retry", "undo", "use_unverified", "skip", "open_shell"})
"""Not for a run that cannot be read: nobody knows what they would act on."""

CHANGING_ACTIONS = ACTING_ACTIONS - {"leave"}
"""Not for who only looks on, nor while one of them is being done."""


class RunPage(RecoveringPage):
    """Watches the session's run, and passes on what the person wants of it."""

    PAGE = "run"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "v",
            "use_unverified",
            _("Use unverified"),
            tooltip=_("Allow the file that nothing vouches for, by typing its name"),
        ),
        Binding("l", "show_log", _("Log"), tooltip=_("Read what the selected step printed")),
        Binding("x", "stop", _("Stop"), tooltip=_("Stop the run; it can go on later")),
        Binding("t", "retry", _("Try again"), tooltip=_("Do the failed steps once more")),
        Binding(
            "a",
            "turn_over",
            _("Answer"),
            tooltip=_("From the steps to what can be done about the failure, and back"),
        ),
        Binding("u", "undo", _("Undo"), tooltip=_("Take back what the run has changed")),
        Binding("d", "leave", _("Leave it running"), tooltip=_("Quit; the run goes on by itself")),
        *RECOVERING_BINDINGS,
    ]

    class Seen(Message):
        """The run was looked at."""

        def __init__(self, sight: RunSight | Words) -> None:
            super().__init__()
            self.sight = sight

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._store = RunStore(state.state_directory)
        self._sight: RunSight | None = None
        self._unread: Words | None = None
        """Why the run could not be read at the last look; what was seen before stays in sight."""
        self._problem: Words | None = None
        """Why something that was wanted of the run was not done."""
        self._busy = False
        self._tried_quietly = False
        self._stopping = False
        """Agreed to, and not there yet: a package manager is not cut off in the middle."""
        self._shown_step: str | None = None
        self._shows_steps = False
        """Of a failed run, whose choices would be shown else."""
        self._watching: RunWatch | None = None

    def body(self) -> Iterable[Widget]:
        """The steps, what the selected one says, and the end of the log."""
        yield EntryList(id="steps")
        yield Explanation(id="explanation")
        yield Tail(id="tail")

    def on_mount(self) -> None:
        """Begin to watch."""
        super().on_mount()
        self._watch()

    def _watch(self) -> None:
        run_id = self.state.session.run_id
        if run_id is not None:
            self._watching = RunWatch(self._store, run_id)
            self.run_worker(self._look_again_and_again(self._watching), group="watch", exclusive=True)

    async def _look_again_and_again(self, watch: RunWatch) -> None:
        while True:
            sight: RunSight | Words
            try:
                sight = await asyncio.to_thread(watch.look)
            except RunRefused as refused:
                # What keeps the run from being read can be put right while the page is open.
                sight = refused.words
            self.post_message(self.Seen(sight))
            await asyncio.sleep(LOOK_SECONDS)

    @on(Seen)
    async def _was_seen(self, event: Seen) -> None:
        if isinstance(event.sight, RunSight):
            await self._was_read(event.sight)
        elif event.sight != self._unread:
            self._unread = event.sight
            self.state.parting = None
            self.refresh_bindings()
            self.show_notice("")
            self.state_changed()

    async def _was_read(self, sight: RunSight) -> None:
        before, self._sight = self._sight, sight
        read_again, self._unread = self._unread is not None, None
        stands_anew = before is None or before.state.status is not sight.state.status
        if stands_anew or read_again:
            self._problem = None
            self.state.parting = parting(sight.state, self.state.directory_option)
            self.state.guest_command = ""
        if stands_anew or read_again or (before is not None and before.log_step != sight.log_step):
            self.refresh_bindings()
        if stands_anew:
            self._stopping = False
            self._shows_steps = False
        if stands_anew and before is not None:
            self.show_notice("")
            if before.state.status is RunStatus.RUNNING:
                # What the pages tell of the machine was read before the run changed it.
                self.post_message(self.CheckAgain())
        self._follow(anew=stands_anew)
        goes_on = sight.state.status in (RunStatus.INTERRUPTED, RunStatus.RESTARTED)
        if stands_anew and goes_on and not self._tried_quietly:
            self._tried_quietly = True
            if not self.state.watching_only:
                await go_on_quietly(self._store, sight.state.run_id)

    def _follow(self, *, anew: bool) -> None:
        """Show what was seen; the cursor goes with the step that matters."""
        sight = self._sight
        if sight is None:
            return
        moved_on = sight.log_step != self._shown_step
        self._shown_step = sight.log_step
        self.state_changed(self._first_in_sight if moved_on or anew else None)
        self.query_one(Tail).show_lines(sight.log_lines)

    def explain(self, entry: Entry) -> None:
        """Of several steps under way, the log is that of the selected one."""
        if self._watching is not None and not self.asks:
            self._watching.preferred = entry.id
        super().explain(entry)

    def entries(self) -> tuple[Entry, ...]:
        """The steps; of a failed run, what can be done about it; of an unreadable one, why it is."""
        if self._sight is None:
            return () if self._unread is None else (unread_entry(self._unread),)
        failure = self.failure
        if failure is None or not self.asks:
            return step_entries(self._sight, self.query_one(Tail).signs, time.time())
        unproven = self._unproven
        named = None if unproven is None else unproven.name
        offered = choices_in(self._sight, failure, undo=self._can_undo(), unverified=named)
        if self._unread is None:
            return offered
        return tuple(withheld(each, self._unread) if each.id in ACTING_ACTIONS else each for each in offered)

    def state_changed(self, select: str | None = None) -> None:
        """Show how things stand; what is asked about a failure stands apart from its choices."""
        self.set_class(self.asks, "-asking")
        self.set_class(self._sight is None and self._unread is not None, "-unread")
        super().state_changed(select)

    @property
    def asks(self) -> bool:
        """Whether the page asks what to do about a failure, rather than showing the steps."""
        return self.failure is not None and not self._shows_steps and not self.state.watching_only

    @property
    def listed_actions(self) -> tuple[str, ...]:
        """What can be done about a failure stands in the list, or on the other side of the page."""
        if self._sight is None:
            # In a list of one line there is nothing to look for, and in an empty one nothing to read.
            return ("move(1)", "press") if self._unread is None else ("move(1)",)
        if self.failure is None or self.state.watching_only:
            return ()
        return tuple(action for action in KEYS if self.asks or action != "turn_over")

    @property
    def _first_in_sight(self) -> str | None:
        """The line that the cursor goes to when what is shown is new."""
        if self.asks:
            return FIRST_CHOICE
        return self._sight.log_step if self._sight is not None else None

    def run_in_sight(self) -> RunSight | None:
        """The session's run, as last seen."""
        return self._sight

    def press(self, entry: Entry) -> None:
        """Space chooses, of what can be done; of a step it shows all of its explanation."""
        if self.asks:
            self._choose(entry)
        else:
            super().press(entry)

    def press_label(self) -> str:
        """What Space does."""
        return _("Choose") if self.asks else super().press_label()

    def _choose(self, entry: Entry) -> None:
        if self.check_action(entry.id, ()):
            getattr(self, f"action_{entry.id}")()
        else:
            self.explain_all(entry)

    def action_turn_over(self) -> None:
        """Show the steps of a failed run, or again what can be done about it."""
        self._shows_steps = not self._shows_steps
        self.refresh_bindings()
        self.state_changed(self._first_in_sight)

    def question(self) -> str:
        """How the run stands, in one sentence, and what can be done."""
        if self._sight is None:
            if self._unread is None:
                return _("Looking at the run …")
            return str(unreadable(onlooker=self.state.watching_only))
        failure = self.failure
        if failure is not None and self.asks:
            # Trying again can have come to nothing, which leaves the failure as it was.
            return str(in_a_row(self._refusal, self._sight.state.notice, headline(failure)))
        if self._refusal is not None:
            return str(self._refusal)
        if self._stopping and self._status is RunStatus.RUNNING:
            return _("Stopping. What must not be cut off in the middle, such as dpkg, is brought to its end.")
        return str(standing(self._sight, self.state.directory_option, onlooker=self.state.watching_only))

    @property
    def _refusal(self) -> Words | None:
        if self._unread is None:
            return self._problem
        return say("{reason} What is listed is how it stood before.", reason=self._unread)

    @property
    def _status(self) -> RunStatus | None:
        return self._sight.state.status if self._sight is not None else None

    def _can_undo(self) -> bool:
        if self._sight is None:
            return False
        return self._sight.more_to_undo if self._undoes else self._status in (*RESTING, RunStatus.DONE)

    @property
    def _unproven(self) -> Unproven | None:
        return unproven_in(self._sight.state) if self._sight is not None else None

    @property
    def _undoes(self) -> bool:
        return self._sight is not None and self._sight.state.plan.undoes is not None

    def next_label(self) -> str:
        """Enter does what comes next for the run."""
        if self.state.watching_only or (self._unread is not None and not self.asks):
            return ""
        labels = {
            RunStatus.DONE: _("Quit") if self._undoes else _("Prove it"),
            RunStatus.FAILED: _("Choose") if self.asks else _("Try again"),
            RunStatus.STOPPED: _("Go on"),
            RunStatus.INTERRUPTED: _("Go on"),
            RunStatus.NEEDS_ROOT: _("Go on as root"),
            RunStatus.NEEDS_RESTART: _("Prove it"),
            RunStatus.RESTARTED: _("Go on"),
        }
        return labels.get(self._status, "") if self._status is not None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys count depends on how the run stands."""
        status = self._status
        if action in CHANGING_ACTIONS and self.state.watching_only:
            return False
        if self._busy and action in CHANGING_ACTIONS | {"back"}:
            return False
        if self._unread is not None and action in ACTING_ACTIONS:
            return False
        allowed = {
            "stop": status is RunStatus.RUNNING and not self._stopping,
            "leave": status is RunStatus.RUNNING,
            "retry": status is RunStatus.FAILED,
            "turn_over": self.failure is not None and not self.state.watching_only,
            "skip": self.can_answer("skip"),
            "open_shell": self.can_answer("open_shell"),
            "save_report": self.can_answer("save_report"),
            "undo": self._can_undo(),
            "use_unverified": status is RunStatus.FAILED and self._unproven is not None,
            "back": self.state.watching_only
            or status in (*RESTING, RunStatus.DONE)
            or self._refusal is not None,
            "show_log": self._sight is not None and self._sight.log_step is not None,
        }
        return allowed.get(action, super().check_action(action, parameters))

    async def action_next(self) -> None:
        """Go on with what the status asks for."""
        if self._busy or self._status is None or not self.next_label():
            return
        selected = self.query_one(EntryList).selected
        if self.asks and selected is not None:
            self._choose(selected)
        elif self._status is RunStatus.DONE and self._undoes:
            await self.app.action_quit()
        elif self._status in (RunStatus.DONE, RunStatus.NEEDS_RESTART):
            await super().action_next()
        else:
            self._go_on(retry=self._status is RunStatus.FAILED)

    def back_label(self) -> str:
        """Where Back leads whoever only looks on is no page."""
        return _("Take part") if self.state.watching_only else _("Back")

    def action_back(self) -> None:
        """Go back a page; for who only looks on, to where one can take part."""
        if self.state.watching_only:
            self.post_message(self.PartSought())
        else:
            super().action_back()

    def action_retry(self) -> None:
        """Do the failed steps once more."""
        self._go_on(retry=True)

    def go_on_without(self, step_id: str) -> None:
        """Have the run go on without the step."""
        self._go_on(left_out=step_id)

    def _go_on(self, *, retry: bool = False, left_out: str | None = None) -> None:
        run_id = self.state.session.run_id
        if run_id is not None and not self._busy:
            self.show_notice("")
            # An action runs in the application's own task, which must stay free while sudo asks.
            self.run_worker(self._begin(run_id, retry=retry, left_out=left_out), group="begin")

    async def _begin(self, run_id: str, *, retry: bool, left_out: str | None) -> None:
        self._busy = True
        try:
            refusal = await begin(self.app, self._store, run_id, retry=retry, left_out=left_out)
        finally:
            self._busy = False
        self._problem = refusal
        self.state_changed()

    async def action_leave(self) -> None:
        """Quit; the run goes on by itself."""
        await self.app.action_quit()

    def action_stop(self) -> None:
        """Stop, if that is really wanted."""
        question = Question(
            _("Stop the run? The step under way is ended, and the run can go on later."),
            no=_("No, let it run"),
            yes=_("Yes, stop it"),
        )
        self.app.push_screen(question, self._stop_was_answered)

    async def _stop_was_answered(self, agreed: bool | None) -> None:
        run_id = self.state.session.run_id
        if agreed and run_id is not None:
            self.show_notice("")
            self._problem = await stop(self._store, run_id)
            self._stopping = self._problem is None
            self.refresh_bindings()
            self.state_changed()

    def action_use_unverified(self) -> None:
        """Allow what nothing vouches for, if its name is typed; a new plan is then reviewed."""
        unproven = self._unproven
        if unproven is not None:
            self.app.push_screen(naming_dialog(unproven.name), partial(self._was_named, unproven))

    def _was_named(self, unproven: Unproven, text: str | None) -> None:
        answer = with_agreement(self.state.answers, unproven)
        if text is not None and answer is not None:
            self.post_message(self.Edited(answer))
            self.post_message(self.Turned(self, "back"))

    def undo_began(self) -> None:
        """Watch the run that takes everything back."""
        self._sight, self._shown_step = None, None
        self._unread, self._problem = None, None
        self._watch()

    def action_show_log(self) -> None:
        """What the selected step printed, as much as is kept in reach; else the step in sight."""
        sight = self._sight
        if sight is None:
            return
        selected = self.query_one(EntryList).selected
        named = (selected.id if selected is not None else None, sight.log_step)
        wanted = [each for each in named if each is not None and each in sight.logs]
        self.show_notice("")
        for step_id in wanted:
            if log_end(sight.logs[step_id]):
                self.app.push_screen(LogScreen(sight.logs[step_id]))
                return
        if wanted:
            why = why_no_log(sight.state.plan.step(wanted[0]), sight.logs[wanted[0]])
            self.show_notice(str(why))


def unread_entry(why: Words) -> Entry:
    """The only line while nothing was seen yet of a run that cannot be read."""
    return Entry(
        "unread", Sign.FAILED, _("Why the run cannot be read"), explanation=(Part(_("Why"), str(why)),)
    )
