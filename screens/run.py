"""Run: the steps as they are carried out. The run is a process of its own; this page only watches."""

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from kvmwizard.run.leaving_out import steps_left_out
from kvmwizard.run.model import RunState, RunStatus, StepStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.restart import restart_of
from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, _, say, say_many
from screens.dialogs import Question
from screens.failure import FIRST_CHOICE, KEYS, headline
from screens.log_screen import LogScreen
from screens.recovering import RECOVERING_BINDINGS, RecoveringPage
from screens.run_control import begin, go_on_quietly, stop
from screens.run_watch import RunSight, RunWatch, log_end, step_entries, steps_ended, steps_gone_without
from screens.state import WizardState
from screens.unverified import Unproven, naming_dialog, unproven_in, with_agreement
from screens.widgets.entries import Entry
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


CHANGING_ACTIONS = frozenset({"stop", "retry", "undo", "back", "use_unverified", "skip", "open_shell"})
"""Not for who only looks on."""
RESTING_WORDS: dict[RunStatus, Words] = {
    RunStatus.DONE: say("Every step is done. Now the proof that guests run: press Enter."),
    RunStatus.FAILED: say("A step failed; its line says why."),
    RunStatus.STOPPED: say("The run is stopped. Press Enter to go on where it stopped."),
    RunStatus.INTERRUPTED: say(
        "The run was interrupted, as by a restart of this machine. Press Enter to go on; steps that are "
        "done are not done again."
    ),
    RunStatus.NEEDS_ROOT: say(
        "The run waits for root: what did its steps as root is gone. Press Enter to give your password again."
    ),
    RunStatus.NEEDS_RESTART: say(
        "All that comes before the restart is done. Restart this machine when it suits you, then open "
        "kvmwizard again. Enter proves what runs now."
    ),
    RunStatus.RESTARTED: say(
        "This machine was restarted. What came of it is being looked at; should nothing happen, press Enter."
    ),
}
"""What each status means that needs somebody."""


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
        self._problem: Words | None = None
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
            try:
                self.post_message(self.Seen(await asyncio.to_thread(watch.look)))
            except RunRefused as refused:
                self.post_message(self.Seen(refused.words))
                return
            await asyncio.sleep(LOOK_SECONDS)

    @on(Seen)
    async def _was_seen(self, event: Seen) -> None:
        if not isinstance(event.sight, RunSight):
            self._problem = event.sight
            self.refresh_bindings()
            self.state_changed()
            return
        before, self._sight = self._sight, event.sight
        stands_anew = before is None or before.state.status is not event.sight.state.status
        if stands_anew or (before is not None and before.log_step != event.sight.log_step):
            self.refresh_bindings()
        if stands_anew:
            self._problem = None
            self._stopping = False
            self._shows_steps = False
            self.state.parting, self.state.guest_command = parting(event.sight.state), ""
        self._follow(anew=stands_anew)
        goes_on = event.sight.state.status in (RunStatus.INTERRUPTED, RunStatus.RESTARTED)
        if stands_anew and goes_on and not self._tried_quietly:
            self._tried_quietly = True
            if not self.state.watching_only:
                await go_on_quietly(self._store, event.sight.state.run_id)

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
        """The steps; of a failed run, what can be done about it."""
        if self._sight is None:
            return ()
        failure = self.failure
        if failure is None or not self.asks:
            return step_entries(self._sight, self.query_one(Tail).signs, time.time())
        unproven = self._unproven
        return self.choices(
            failure, undo=self._can_undo(), unverified=None if unproven is None else unproven.name
        )

    def state_changed(self, select: str | None = None) -> None:
        """Show how things stand; what is asked about a failure stands apart from its choices."""
        self.set_class(self.asks, "-asking")
        super().state_changed(select)

    @property
    def asks(self) -> bool:
        """Whether the page asks what to do about a failure, rather than showing the steps."""
        return self.failure is not None and not self._shows_steps and not self.state.watching_only

    @property
    def listed_actions(self) -> tuple[str, ...]:
        """What can be done about a failure stands in the list, or on the other side of the page."""
        if self.failure is None or self.state.watching_only:
            return ()
        return tuple(action for action in KEYS if self.asks or action != "turn_over")

    @property
    def _first_in_sight(self) -> str | None:
        """The line that the cursor goes to when what is shown is new."""
        if self.asks:
            return FIRST_CHOICE
        return self._sight.log_step if self._sight is not None else None

    def run_in_sight(self) -> RunState | None:
        """The session's run, as last seen."""
        return self._sight.state if self._sight is not None else None

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
        failure = self.failure
        if failure is not None and self.asks:
            words = headline(failure)
            if self._problem is None:
                return str(words)
            return _("{refusal} {failure}", refusal=self._problem, failure=words)
        if self._problem is not None:
            return str(self._problem)
        if self._sight is None:
            return _("Looking at the run …")
        if self._stopping and self._status is RunStatus.RUNNING:
            return _("Stopping. What must not be cut off in the middle, such as dpkg, is brought to its end.")
        if failure is not None and not self.state.watching_only:
            return _("A step failed; its line says why. Press a to see what can be done about it.")
        return str(standing(self._sight))

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
        if self.state.watching_only:
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
        if action in CHANGING_ACTIONS and (self.state.watching_only or self._busy):
            return False
        allowed = {
            "stop": status is RunStatus.RUNNING,
            "leave": status is RunStatus.RUNNING,
            "retry": status is RunStatus.FAILED,
            "turn_over": self.failure is not None,
            "skip": self.can_answer("skip"),
            "open_shell": self.can_answer("open_shell"),
            "save_report": self.can_answer("save_report"),
            "undo": self._can_undo(),
            "use_unverified": status is RunStatus.FAILED and self._unproven is not None,
            "back": status in (*RESTING, RunStatus.DONE) or self._problem is not None,
            "show_log": self._sight is not None and self._sight.log_step is not None,
        }
        return allowed.get(action, super().check_action(action, parameters))

    async def action_next(self) -> None:
        """Go on with what the status asks for."""
        if self._busy or self._status is None or self.state.watching_only:
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

    def action_retry(self) -> None:
        """Do the failed steps once more."""
        self._go_on(retry=True)

    def go_on_without(self, step_id: str) -> None:
        """Have the run go on without the step."""
        self._go_on(left_out=step_id)

    def _go_on(self, *, retry: bool = False, left_out: str | None = None) -> None:
        run_id = self.state.session.run_id
        if run_id is not None and not self._busy:
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
            self._problem = await stop(self._store, run_id)
            self._stopping = self._problem is None
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

    def refused(self, words: Words) -> None:
        """It stays on the page while the run goes on being looked at."""
        self._problem = words
        self.state_changed()

    def undo_began(self) -> None:
        """Watch the run that takes everything back."""
        self._sight, self._shown_step = None, None
        self._watch()

    def action_show_log(self) -> None:
        """What the selected step printed, as much as is kept in reach; else the step in sight."""
        if self._sight is None or self._sight.log_step is None:
            return
        selected = self.query_one(EntryList).selected
        for step_id in (selected.id if selected is not None else self._sight.log_step, self._sight.log_step):
            path = self._store.log_path(self._sight.state.run_id, step_id)
            if log_end(path):
                self.app.push_screen(LogScreen(path))
                return


def parting(state: RunState) -> Words:
    """What whoever leaves the page is told of the run."""
    if state.status is RunStatus.RUNNING:
        return say(
            "The run goes on by itself. To watch it: kvmwizard. To see how it stands: kvmwizard status"
        )
    if state.status is RunStatus.DONE and state.plan.undoes is not None:
        return say("Everything that could be taken back is taken back.")
    if state.status is RunStatus.DONE:
        return say("The run is done. To prove that guests run: kvmwizard verify")
    if state.status is RunStatus.NEEDS_RESTART:
        return say("Restart this machine when it suits you. To go on after that: kvmwizard")
    return say("The run is not finished. To go on with it, or to undo it: kvmwizard")


def standing(sight: RunSight) -> Words:
    """How a run stands, and what can be done about it."""
    state = sight.state
    if state.notice is not None and state.status is not RunStatus.RUNNING:
        return state.notice
    if state.status is RunStatus.INTERRUPTED and not any(step.attempts for step in state.steps.values()):
        return say("The run was agreed to, but has not begun. Press Enter to begin.")
    if state.status is RunStatus.RUNNING:
        return say(
            "{ended} of {total} steps done. Closing the wizard does not stop the run.",
            ended=steps_ended(state),
            total=len(state.steps),
        )
    if state.status is RunStatus.DONE and state.plan.undoes is not None:
        if sight.more_to_undo:
            return say("This run is taken back; one before it still stands. Press u to take that back, too.")
        return say("Everything that could be taken back is taken back.")
    if state.status is RunStatus.DONE and steps_left_out(state):
        return say_many(
            "Done, without one step that was skipped. Now the proof that guests run: press Enter.",
            "Done, without {count} steps that were skipped. Now the proof that guests run: press Enter.",
            steps_left_out(state),
        )
    if state.status is RunStatus.DONE and steps_gone_without(state):
        return say(
            "Done, though a step failed that the rest is good without; its line says why. Now the proof "
            "that guests run: press Enter."
        )
    return after_restart(state) or RESTING_WORDS[state.status]


def after_restart(state: RunState) -> Words | None:
    """What came of the restart that the run waited for; None where it did not wait, or goes on."""
    step = restart_of(state.plan)
    if step is None:
        return None
    restart = state.steps[step.id].status
    if state.status is RunStatus.FAILED and restart is StepStatus.FAILED:
        return say(
            "The new kernel did not come up: another one runs. Its line says how to see why. Enter prepares "
            "the restart once more; u takes everything back."
        )
    if state.status is RunStatus.NEEDS_ROOT and restart is StepStatus.DONE:
        return say(
            "The new kernel runs, and guests run with it. Press Enter to give your password: it then becomes "
            "the default."
        )
    return None
