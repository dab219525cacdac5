"""The runner: starts a run's steps, watches over them, and journals what comes of them.

It works in a process of its own, see `runner_process`, until nothing is left to do,
root or a restart is needed, the journal takes no more, or it is asked to stop.
"""

import contextlib
import datetime as dt
import os
import queue
import threading
import time
from collections import Counter

from kvmwizard.host.guest import parse_guest_output
from kvmwizard.plan.build_model import BootsByDefault, BootsNext, GuestsProved
from kvmwizard.plan.conditions import evidence, holds
from kvmwizard.plan.model import Condition, GuestRanAs, Step, plan_digest
from kvmwizard.plan.observed import ObservedBoot, ObservedGuest, ObservedProof
from kvmwizard.run.commands import CommandFiles, note
from kvmwizard.run.failures import (
    failure_words,
    interrupted_words,
    lists_are_missing,
    lists_are_outdated,
    not_renewed_words,
)
from kvmwizard.run.journal import Journal, cannot_append
from kvmwizard.run.leaving_out import decider, why_not_left_out
from kvmwizard.run.ledger import ledger
from kvmwizard.run.liveness import RunLock, boot_id, lock_is_held, this_process
from kvmwizard.run.log import tail
from kvmwizard.run.model import (
    Event,
    RestartNeeded,
    RootNeeded,
    RunEnded,
    RunnerStarted,
    RunStopped,
    StepDone,
    StepFailed,
    StepLeftOut,
    StepSkipped,
    StepStarted,
    StepState,
    StepStatus,
    StepStopped,
)
from kvmwizard.run.observe import all_hold, observe, step_evidence
from kvmwizard.run.payloads import journaled_digest, payload_of, staged_digest
from kvmwizard.run.progress import refreshes_lists
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.replay import interruptions, restart_asked_in, step_states
from kvmwizard.run.restart import not_started_words
from kvmwizard.run.root_client import HelperGone, HelperRefused, HelperStep, Outcome, RootClient
from kvmwizard.run.root_start import start_as_root
from kvmwizard.run.scheduler import (
    FINISHED_WELL,
    OVER,
    ended_well,
    root_steps_left,
    startable,
    steps_behind,
)
from kvmwizard.run.store import COMMAND_LOCK_SUFFIX, RunStore, journal_path
from kvmwizard.run.work import Attempt, StepWork
from kvmwizard.words import Words

TRIES = 5
"""How often a step is begun anew after its runner was gone without a word."""
HELPER_STARTS = 3
"""How often a runner that is root itself starts a root helper that is gone."""
LOG_LINES = 400


class Runner:
    """Carries out one run, of which it holds the lock."""

    def __init__(self, store: RunStore, run_id: str, lock: RunLock) -> None:
        """Open the journal. Raises RunRefused, OSError."""
        self._store = store
        self._run_id = run_id
        self._lock = lock
        self._plan = store.plan(run_id)
        self._digest = plan_digest(self._plan)
        self._directory = store.directory(run_id)
        self._journal = Journal(journal_path(self._directory))
        self._events: list[Event] = list(store.events(run_id))
        self._at_work: dict[str, StepWork] = {}
        self._ended: queue.SimpleQueue[tuple[str, Outcome | None] | None] = queue.SimpleQueue()
        self._helper: RootClient | None = None
        self._helper_starts = 0
        self._root_needed = False
        self._restart_needed = False
        self._to_renew: set[str] = set()
        """Steps that were done, and whose work a restart has used up."""
        self._renewed: set[str] = set()
        """Those of them that this runner has seen to."""
        self._lost: Counter[str] = Counter()
        self._stopping = False
        self._refreshed = False
        self._problem: Words | None = None

    def ask_to_stop(self, *_: object) -> None:
        """For a signal: stop what may be stopped, and start nothing more."""
        self._stopping = True
        self._ended.put(None)

    def begin(self, retry: bool, left_out: str | None = None) -> None:
        """Put into the journal that the run is taken on; from then on it is under way for everybody.

        Raises RunRefused for a step that cannot be left out.
        """
        if left_out is not None:
            refused = why_not_left_out(self._plan, self._states, left_out)
            if refused is not None:
                raise RunRefused(refused)
        process = this_process()
        self._record(
            RunnerStarted(
                time=time.time(), retry=retry, cut_bytes=self._journal.cut_bytes, **process.model_dump()
            )
        )
        if left_out is not None:
            self._leave_out(left_out)
        if self._problem is not None:
            self._lock.note_problem(self._problem)

    def _leave_out(self, step_id: str) -> None:
        now, user = time.time(), decider()
        self._record(StepLeftOut(time=now, step=step_id, user=user))
        stamp = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="seconds")
        # The journal is what counts; a log that takes no more must not hold the run up.
        with contextlib.suppress(OSError):
            note(self._files(self._plan.step(step_id)).log, f"=== skipped by {user}, {stamp}")

    def work(self) -> None:
        """Take the run on, to its end or as far as it goes now."""
        self._connect_to_helper()
        self._resume()
        self._await_restart_anew()
        while self._goes_on():
            self._start_what_can_start()
            if self._at_work:
                self._await_one()
        self._conclude()

    @property
    def _states(self) -> dict[str, StepState]:
        """How the steps stand; what an earlier runner left unfinished waits again."""
        states = step_states(self._plan, self._events)
        for step_id, state in states.items():
            lost = state.status is StepStatus.RUNNING and step_id not in self._at_work
            if lost or (step_id in self._to_renew and state.status in FINISHED_WELL):
                states[step_id] = state.model_copy(update={"status": StepStatus.WAITING})
        return states

    def _goes_on(self) -> bool:
        if self._at_work:
            return True
        if self._stopping or self._problem is not None:
            return False
        return any(not self._cannot_start(step) for step in startable(self._plan, self._states))

    def _cannot_start(self, step: Step) -> bool:
        """Whether somebody must do something first."""
        return (step.root and self._root_needed) or (step.awaits_restart and self._restart_needed)

    def _conclude(self) -> None:
        now = time.time()
        states = self._states
        # A stop that came when all was done has stopped nothing.
        over = ended_well(self._plan, states) and not startable(self._plan, states)
        if self._problem is not None:
            self._lock.note_problem(self._problem)
        elif self._stopping and not over:
            self._record(RunStopped(time=now))
        elif self._root_needed and root_steps_left(self._plan, states):
            self._record(RootNeeded(time=now))
        elif self._restart_needed:
            self._record(RestartNeeded(time=now, boot_id=boot_id()))
            if self._helper is not None:
                self._dismiss_helper(self._helper)
        else:
            good = ended_well(self._plan, states)
            self._record(RunEnded(time=now, good=good))
            if good and self._helper is not None:
                self._dismiss_helper(self._helper)
        self._journal.close()

    def _record(self, event: Event) -> bool:
        """Into the journal; False, and nothing more is started, where the journal cannot take it."""
        try:
            self._journal.append(event)
        except OSError as error:
            self._problem = cannot_append(self._journal.path, error)
            return False
        self._events.append(event)
        return True

    # Taking over from an earlier runner

    def _resume(self) -> None:
        """See to every step that an earlier runner began and did not end."""
        begun = self._helper_steps()
        states = step_states(self._plan, self._events)
        for step in self._plan.steps:
            if states[step.id].status is StepStatus.RUNNING:
                self._resume_step(step, states[step.id], begun.get(step.id))

    def _await_restart_anew(self) -> None:
        """Another kernel may run by now than the one that the steps behind a restart are for."""
        states = step_states(self._plan, self._events)
        for step in self._plan.steps:
            left = [each for each in steps_behind(self._plan, step.id) if states[each.id].status not in OVER]
            if step.awaits_restart and states[step.id].status in FINISHED_WELL and left:
                observed = tuple(observe(condition) for condition in step.conditions)
                if not all_hold(step, observed):
                    self._to_renew.add(step.id)

    def _resume_step(self, step: Step, state: StepState, known: HelperStep | None) -> None:
        if known is not None and known.outcome is None:
            self._employ(step, known.attempt, begun=True)
        elif known is not None and known.attempt == state.attempts:
            self._end(step, known.outcome)
        elif not step.root:
            self._employ(step, state.attempts, begun=True)
        else:
            self._end(step, None)

    # Starting

    def _start_what_can_start(self) -> None:
        if self._stopping or self._problem is not None:
            return
        # What is skipped on the way may let others start.
        while True:
            before = len(self._events)
            for step in startable(self._plan, self._states):
                if not self._cannot_start(step):
                    self._start(step)
            if len(self._events) == before or self._at_work:
                return

    def _start(self, step: Step, force: bool = False) -> None:
        try:
            self._attempt(step, force)
        except RunRefused as error:
            self._fail(step, None, error.words, self._states[step.id].changes)

    def _attempt(self, step: Step, force: bool) -> None:
        """Skip it, await the restart or root for it, or have it done. Raises RunRefused."""
        state = self._states[step.id]
        if step.root and state.attempts > 0 and self._is_still_at(step):
            # A stop, or that root was missed, has set it back to waiting: nobody shall begin it twice.
            now, before = time.time(), state.before
            self._record(StepStarted(time=now, step=step.id, attempt=state.attempts, before=before))
            return
        before = tuple(observe(condition) for condition in step.conditions)
        if not force and all_hold(step, before) and (state.attempts == 0 or is_shown_by_conditions(step)):
            self._skip(step, state, before)
            return
        if step.awaits_restart:
            self._await_restart(step, before)
            return
        if step.root and not self._helper_answers():
            self._root_needed = True
            return
        if self._stopping:
            # Looking at the machine and starting the helper take their time.
            return
        self._to_renew.discard(step.id)
        attempt = 1 + max(state.attempts, self._helper_attempts(step))
        # Should this runner be killed now, what an earlier attempt said is not taken for this one's.
        self._store.forget_progress(self._run_id, step.id)
        if self._record(StepStarted(time=time.time(), step=step.id, attempt=attempt, before=before)):
            self._employ(step, attempt, begun=False)

    def _await_restart(self, step: Step, before: tuple[str, ...]) -> None:
        """Ask for the restart; or see that there was one, and that it came to another end."""
        asked = restart_asked_in(self._events)
        if asked is not None and asked != boot_id():
            self._fail(step, None, not_started_words(self._plan, step, before), ())
        elif asked is None and self._renews_what_restart_needs(step):
            return
        else:
            self._restart_needed = True

    def _renews_what_restart_needs(self, restart: Step) -> bool:
        """Whether a step is to be done anew because an earlier restart has used up what it did."""
        asked_before = any(isinstance(event, RestartNeeded) for event in self._events)
        arming = [step for step in self._plan.steps if step.arms_restart and step.id in restart.needs]
        for step in arming:
            if step.id not in self._renewed and is_used_up(step, asked_before):
                self._renewed.add(step.id)
                self._to_renew.add(step.id)
        return any(step.id in self._to_renew for step in arming)

    def _skip(self, step: Step, state: StepState, before: tuple[str, ...]) -> None:
        now, words = time.time(), step_evidence(step, before)
        restarted = step.awaits_restart and any(isinstance(event, RestartNeeded) for event in self._events)
        if state.attempts == 0 and not restarted:
            self._record(
                StepSkipped(time=now, step=step.id, evidence=words, payload_digest=staged_digest(step))
            )
        else:
            self._done(step, words, ledger(step, state, before, self._files(step).log))

    def _employ(self, step: Step, attempt: int, begun: bool) -> None:
        """Have the step done, or its end waited for, in a thread of its own."""
        progress = self._store.progress_path(self._run_id, step.id)
        payload = payload_of(step)
        digest = journaled_digest(self._plan, self._events, payload) if payload is not None else ""
        wanted = Attempt(step, attempt, self._plan.builder, self._plan.build_folder, digest)
        work = StepWork(wanted, self._files(step), progress, self._new_connection)
        self._at_work[step.id] = work

        def run() -> None:
            outcome = None
            try:
                outcome = work.watch() if begun else work.do()
            finally:
                self._ended.put((step.id, outcome))

        threading.Thread(target=run, name=step.id, daemon=True).start()

    # Ending

    def _await_one(self) -> None:
        """Wait for one step to end, or for somebody to ask for a stop."""
        ended = self._ended.get()
        if ended is None:
            for work in list(self._at_work.values()):
                work.stop()
            return
        step_id, outcome = ended
        self._at_work.pop(step_id)
        self._end(self._plan.step(step_id), outcome)

    def _end(self, step: Step, outcome: Outcome | None) -> None:
        """Look at what came of an attempt. Without an outcome, the conditions alone can tell."""
        if self._problem is not None or (outcome is None and step.root and self._is_still_at(step)):
            return
        if outcome is not None and outcome.code == "stopped":
            self._set_down(step)
            return
        try:
            after = tuple(observe_after(condition, outcome) for condition in step.conditions)
        except RunRefused as error:
            self._fail(step, outcome, error.words, None)
            return
        as_it_shall_be = not step.conditions or all_hold(step, after)
        changes = ledger(step, self._states[step.id], after, self._files(step).log)
        if as_it_shall_be and (outcome.good if outcome is not None else is_shown_by_conditions(step)):
            self._done(step, step_evidence(step, after), changes)
        elif outcome is None:
            self._begin_anew(step, changes)
        else:
            self._end_badly(step, outcome, after, changes)

    def _set_down(self, step: Step) -> None:
        """Journal what a step has changed that was stopped, for what others change from now on is theirs."""
        # What cannot be looked at now is looked at by an undo.
        with contextlib.suppress(RunRefused):
            after = tuple(observe(condition) for condition in step.conditions)
            changes = ledger(step, self._states[step.id], after, self._files(step).log)
            self._record(StepStopped(time=time.time(), step=step.id, changes=changes))

    def _done(self, step: Step, words: Words, changes: tuple[str, ...]) -> None:
        now, digest = time.time(), staged_digest(step)
        self._record(StepDone(time=now, step=step.id, evidence=words, changes=changes, payload_digest=digest))

    def _begin_anew(self, step: Step, changes: tuple[str, ...]) -> None:
        """Leave the step to be started again, unless it kills its runner or the helper every time."""
        if self._stopping and not step.root:
            if lock_is_held(self._files(step).lock):
                # What it will have changed is to be learnt when it has ended.
                return
            self._record(StepStopped(time=time.time(), step=step.id, changes=changes))
            return
        self._lost[step.id] += 1
        times = max(interruptions(self._events, step.id), self._lost[step.id])
        if times >= TRIES:
            self._fail(step, None, interrupted_words(times), changes)

    def _end_badly(
        self, step: Step, outcome: Outcome, after: tuple[str, ...], changes: tuple[str, ...]
    ) -> None:
        log = tail(self._files(step).log, LOG_LINES)
        if self._refresh_first(step, log, changes):
            return
        missing = [
            evidence(condition, observed)
            for condition, observed in zip(step.conditions, after, strict=True)
            if not holds(condition, observed)
        ]
        words = failure_words(step, outcome, log, missing[0] if missing else None)
        refresh = self._failed_refresh(step)
        if refresh is not None and refresh.words is not None and lists_are_missing(log):
            words = not_renewed_words(refresh.words)
        self._fail(step, outcome, words, changes)

    def _fail(
        self, step: Step, outcome: Outcome | None, words: Words, changes: tuple[str, ...] | None
    ) -> None:
        self._record(
            StepFailed(
                time=time.time(),
                step=step.id,
                returncode=None if outcome is None else outcome.returncode,
                code=None if outcome is None else outcome.code,
                message=words,
                changes=changes,
            )
        )

    def _refresh_before(self, step: Step) -> Step | None:
        """The step that renews the lists from which this one installs."""
        return next(
            (each for each in self._plan.steps if refreshes_lists(each) and each.id in step.needs), None
        )

    def _failed_refresh(self, step: Step) -> StepState | None:
        """How that one stands where it has failed, which alone stops nobody."""
        refresh = self._refresh_before(step)
        state = None if refresh is None else self._states[refresh.id]
        return state if state is not None and state.status is StepStatus.FAILED else None

    def _refresh_first(self, step: Step, log: tuple[str, ...], changes: tuple[str, ...]) -> bool:
        """Once a run: where the server no longer has what the lists name, renew them, then try again."""
        refresh = self._refresh_before(step)
        if self._refreshed or self._stopping or refresh is None:
            return False
        if not lists_are_outdated(log):
            return False
        self._refreshed = True
        # It waits to be begun again; what others change until then is theirs.
        self._record(StepStopped(time=time.time(), step=step.id, changes=changes))
        self._start(refresh, force=True)
        return True

    def _files(self, step: Step) -> CommandFiles:
        log = self._store.log_path(self._run_id, step.id)
        return CommandFiles(log=log, lock=log.with_suffix(COMMAND_LOCK_SUFFIX))

    # The root helper

    def _new_connection(self) -> RootClient:
        return RootClient.connect(self._run_id, self._digest)

    def _connect_to_helper(self) -> None:
        """Hold a connection, by which the helper knows that somebody still needs it."""
        if self._helper is not None:
            self._helper.close()
        try:
            self._helper = RootClient.connect(self._run_id, self._digest, stay=True)
        except HelperGone:
            self._helper = None

    def _helper_answers(self) -> bool:
        self._connect_to_helper()
        if self._helper is None and os.geteuid() == 0 and self._helper_starts < HELPER_STARTS:
            self._helper_starts += 1
            refused = start_as_root(self._plan, self._run_id)
            if refused is not None:
                self._lock.note_problem(refused.words)
            self._connect_to_helper()
        return self._helper is not None

    def _helper_steps(self) -> dict[str, HelperStep]:
        try:
            return self._helper.steps() if self._helper is not None else {}
        except (HelperGone, HelperRefused):
            return {}

    def _is_still_at(self, step: Step) -> bool:
        """Whether the helper is at the step, though it was taken for gone: its end is waited for then."""
        self._connect_to_helper()
        known = self._helper_steps().get(step.id)
        if known is None or known.outcome is not None:
            return False
        self._employ(step, known.attempt, begun=True)
        if self._stopping:
            # Who did not answer may not have heard of the stop either.
            self._at_work[step.id].stop()
        return True

    def _helper_attempts(self, step: Step) -> int:
        known = self._helper_steps().get(step.id)
        return known.attempt if known is not None else 0

    def _dismiss_helper(self, helper: RootClient) -> None:
        try:
            helper.end()
        except (HelperGone, HelperRefused):
            return
        finally:
            helper.close()


def is_shown_by_conditions(step: Step) -> bool:
    """Whether a step that was begun needs no more than its conditions to be known as done.

    Conditions show what one action did; that a second one (as telling the boot
    loader of a file) was done too, they cannot show.
    """
    return len(step.actions) == 1


def is_used_up(step: Step, asked_before: bool) -> bool:
    """Whether what a step chose for the next start is gone. Raises RunRefused.

    Where nobody but root can see it, it is taken for gone once the person was asked to restart.
    """
    observed = tuple(observe(condition) for condition in step.conditions)
    if all_hold(step, observed):
        return False
    choices = [
        ObservedBoot.model_validate_json(seen)
        for condition, seen in zip(step.conditions, observed, strict=True)
        if isinstance(condition, BootsNext)
    ]
    return asked_before or all(choice.readable for choice in choices)


def observe_after(condition: Condition, outcome: Outcome | None) -> str:
    """What is seen after the actions. Raises RunRefused.

    That a guest ran, only its own output shows; and what the boot loader was told, root alone may be
    able to read.
    """
    if isinstance(condition, BootsNext | BootsByDefault) and outcome is not None and outcome.good:
        seen = ObservedBoot.model_validate_json(observe(condition))
        told = "next_release" if isinstance(condition, BootsNext) else "default_release"
        known = seen if seen.readable else seen.model_copy(update={told: condition.release})
        return known.model_dump_json()
    if isinstance(condition, GuestsProved) and outcome is not None and outcome.good:
        return ObservedProof(good=True).model_dump_json()
    if not isinstance(condition, GuestRanAs) or outcome is None or outcome.output is None:
        return observe(condition)
    try:
        run = parse_guest_output(outcome.output)
    except ValueError:
        return observe(condition)
    return ObservedGuest(ran=run.ran).model_dump_json()
