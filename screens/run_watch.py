"""What is seen of a run: its state, how far the steps under way have come, and the end of the log."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvmwizard.plan.model import Step
from kvmwizard.plan.spans import size_words
from kvmwizard.run.log import LogFollower, tail
from kvmwizard.run.model import RunState, RunStatus, StepProgress, StepState, StepStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.scheduler import FINISHED_WELL, is_satisfied
from kvmwizard.run.store import RunStore
from kvmwizard.run.text import step_that_matters
from kvmwizard.run.undo import still_standing
from kvmwizard.words import Words, _, say, say_many
from screens.terminal import Signs
from screens.widgets.entries import Entry, Part, Sign

BAR_CELLS = 16
SHORT_BAR_CELLS = 8
"""Where a count stands beside it: both must fit 80 columns beside a title."""
RATE_CELLS = len("999 kB/s")
KEPT_LINES = 200
"""Of the end of a log, on the screen and a key away."""
MINUTE = 60
SETTLING_SECONDS = 2.0
"""Before that a step's own speed says little about the time left."""

STATUS_SIGNS = {
    StepStatus.WAITING: Sign.WAITING,
    StepStatus.RUNNING: Sign.RUNNING,
    StepStatus.SKIPPED: Sign.PASSED,
    StepStatus.DONE: Sign.PASSED,
    StepStatus.FAILED: Sign.FAILED,
    StepStatus.LEFT_OUT: Sign.NOT_APPLICABLE,
}


@dataclass(frozen=True)
class RunSight:
    """A run at one moment."""

    state: RunState
    progress: dict[str, StepProgress]
    log_step: str | None
    """The step whose log is shown: see `step_that_matters`."""
    log_lines: tuple[str, ...]
    more_to_undo: bool = False
    """The run took another one back, and one before that still stands."""
    logs: Mapping[str, Path] = field(default_factory=dict)
    """Where each step's log is or will be, by the step's id."""


class RunWatch:
    """Looks at one run again and again; for a worker thread."""

    def __init__(self, store: RunStore, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self._log: LogFollower | None = None
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._more_to_undo: bool | None = None
        self._logs: dict[str, Path] = {}
        self.preferred: str | None = None
        """The step whose log the person wants to see while it is under way."""

    def look(self) -> RunSight:
        """The run now. Raises RunRefused."""
        state = self.store.read(self.run_id)
        progress = {
            step_id: seen
            for step_id, step in state.steps.items()
            if step.status is StepStatus.RUNNING
            and (seen := self.store.progress(self.run_id, step_id)) is not None
        }
        if not self._logs:
            self._logs = {step_id: self.store.log_path(self.run_id, step_id) for step_id in state.steps}
        log_step = step_that_matters(state, self.preferred)
        return RunSight(
            state, progress, log_step, self._log_lines(log_step), self._stands_more(state), self._logs
        )

    def _stands_more(self, state: RunState) -> bool:
        if state.plan.undoes is None or state.status is not RunStatus.DONE:
            return False
        if self._more_to_undo is None:
            try:
                self._more_to_undo = still_standing(self.store, state) is not None
            except RunRefused:
                # Any of all the runs can be why; this undo is no less done for that.
                self._more_to_undo = False
        return self._more_to_undo

    def _log_lines(self, step_id: str | None) -> tuple[str, ...]:
        if step_id is None:
            return ()
        path = self._logs[step_id]
        if self._log is None or self._log.path != path:
            self._log = LogFollower(path, at_end=True)
            self._lines.clear()
        try:
            self._lines.extend(filter(str.strip, self._log.read()))
        except OSError:
            # The steps are shown without it.
            return ()
        unfinished = self._log.unfinished
        return (*self._lines, unfinished) if unfinished.strip() else tuple(self._lines)


def log_end(path: Path) -> tuple[str, ...]:
    """The end of a step's log, as much as is kept in reach; nothing where it cannot be read."""
    try:
        return tuple(filter(str.strip, tail(path, KEPT_LINES)))
    except OSError:
        return ()


def why_no_log(step: Step, path: Path) -> Words:
    """Why there is nothing to read of what the step printed."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return say(
            "There is no log of “{step}” in {path}: it has printed nothing, or the log was removed. What is "
            "known of the step stands in its line.",
            step=step.title,
            path=str(path),
        )
    except OSError as error:
        return say(
            "The log of “{step}” cannot be read: {path}: {error}. Mend that, then press l again.",
            step=step.title,
            path=str(path),
            error=error.strerror or str(error),
        )
    return say("“{step}” has printed nothing so far.", step=step.title)


def steps_gone_without(state: RunState) -> int:
    """How many steps failed that the rest is good without."""
    return sum(
        not step.required and state.steps[step.id].status is StepStatus.FAILED for step in state.plan.steps
    )


def steps_ended(state: RunState) -> int:
    """How many steps need nothing more."""
    return sum(step.status in FINISHED_WELL for step in state.steps.values())


def step_entries(sight: RunSight, signs: Signs, now: float) -> tuple[Entry, ...]:
    """The steps as lines; `now` in seconds since the epoch."""
    return tuple(
        Entry(
            id=step.id,
            sign=step_sign(step, state),
            title=str(step.title),
            detail=step_detail(step, state, sight.progress.get(step.id), signs),
            aside=step_aside(step, state, sight.progress.get(step.id), now),
            explanation=step_explanation(
                step,
                state,
                sight.progress.get(step.id),
                waits=not all(is_satisfied(sight.state.plan, sight.state.steps, need) for need in step.needs),
            ),
        )
        for step in sight.state.plan.steps
        for state in (sight.state.steps[step.id],)
    )


def step_sign(step: Step, state: StepState) -> Sign:
    """How the step stands; a failure that the rest is good without is a warning."""
    if state.status is StepStatus.FAILED and not step.required:
        return Sign.WARNED
    return STATUS_SIGNS[state.status]


def step_detail(step: Step, state: StepState, progress: StepProgress | None, signs: Signs) -> str:
    """A bar or a word; the evidence and the failure are told in full below the list."""
    if state.status is StepStatus.RUNNING:
        return progress_detail(progress, signs) if progress is not None else _("under way")
    if state.status is StepStatus.SKIPPED:
        return _("already so")
    if state.status is StepStatus.FAILED:
        return _("failed") if step.required else _("went on without it")
    if state.status is StepStatus.LEFT_OUT:
        return _("skipped")
    return ""


def progress_detail(progress: StepProgress, signs: Signs) -> str:
    """A bar, or what is known in its place; as wide from one look to the next, so that no column moves."""
    if progress.fraction is None:
        if is_being_counted(progress):
            return str(say_many("{count} step so far", "{count} steps so far", round(progress.done or 0)))
        return str(progress.words)
    count = progress_count(progress)
    if not count:
        return progress_bar(progress.fraction, signs)
    width = RATE_CELLS if progress.unit == "bytes" else 2 * len(f"{progress.total or 0:,.0f}") + 1
    return f"{progress_bar(progress.fraction, signs, SHORT_BAR_CELLS)} {count:>{width}}"


def is_being_counted(progress: StepProgress) -> bool:
    """Whether the steps done are known, and not yet how many there are."""
    return progress.unit == "steps" and progress.done is not None and progress.total is None


def progress_bar(fraction: float, signs: Signs, cells: int = BAR_CELLS) -> str:
    """A percentage and its bar, which is what a narrow terminal cuts off."""
    part = min(max(fraction, 0.0), 1.0)
    full = round(part * cells)
    return f"{part:>4.0%} {signs.bar_full * full}{signs.bar_empty * (cells - full)}"


def progress_count(progress: StepProgress) -> str:
    """The rate of what is downloaded, and how many of the steps are done; nothing where neither is known."""
    if progress.done is None or progress.total is None:
        return ""
    if progress.unit == "steps":
        return f"{progress.done:,.0f}/{progress.total:,.0f}"
    if progress.unit == "bytes" and progress.seconds_left:
        rate = (progress.total - progress.done) / progress.seconds_left
        return _("{size}/s", size=str(size_words(round(rate))))
    return ""


def step_aside(step: Step, state: StepState, progress: StepProgress | None, now: float) -> str:
    """How long it took or has taken, or may still take by its own speed; who does it, while it waits."""
    if state.status is StepStatus.LEFT_OUT:
        return ""
    if state.status is StepStatus.WAITING or state.started is None:
        return _("root") if step.root and state.status is StepStatus.WAITING else ""
    if state.ended is not None:
        return clock(state.ended - state.started)
    elapsed = now - state.started
    left = seconds_left(progress, elapsed) if progress is not None else 0.0
    return _("{left} left", left=clock(left)) if left >= 1 else clock(elapsed)


def seconds_left(progress: StepProgress, elapsed: float) -> float:
    """What the step may still take: by its rate of late, else by all of it; 0 where nobody can say."""
    if progress.seconds_left is not None:
        return progress.seconds_left
    fraction = progress.fraction
    return elapsed * (1 - fraction) / fraction if fraction and elapsed > SETTLING_SECONDS else 0.0


def step_explanation(
    step: Step, state: StepState, progress: StepProgress | None, *, waits: bool
) -> tuple[Part, ...]:
    """What there is to say of the selected step; `waits` tells whether others must be done before it."""
    if progress is not None:
        now = Part(_("Now"), str(progress.words))
        if not is_being_counted(progress):
            return (now,)
        return (now, Part(_("Left"), _("How much there is to do is still being counted.")))
    if state.status is StepStatus.RUNNING:
        return (Part(_("Now"), _("It is under way; what it prints is below.")),)
    if state.status is StepStatus.WAITING and step.awaits_restart:
        return (Part(_("Next"), _("When all before it is done, you restart this machine, and it goes on.")),)
    if state.status is StepStatus.WAITING and not waits:
        return (Part(_("Next"), _("It waits for no other step: it begins as soon as the run goes on.")),)
    if state.status is StepStatus.WAITING:
        return (Part(_("Next"), _("It waits for the steps before it.")),)
    if state.words is None:
        return ()
    labels = {StepStatus.FAILED: _("Failed"), StepStatus.LEFT_OUT: _("Skipped")}
    found = Part(labels.get(state.status, _("Found")), str(state.words))
    if step_sign(step, state) is not Sign.WARNED:
        return (found,)
    return (found, Part(_("Note"), _("The rest is good without this step, so the run went on.")))


def clock(seconds: float) -> str:
    """A duration as 0:31, or 1:02:03 from an hour on."""
    whole = max(int(seconds), 0)
    hours, minutes = divmod(whole // MINUTE, MINUTE)
    if hours:
        return f"{hours}:{minutes:02}:{whole % MINUTE:02}"
    return f"{minutes}:{whole % MINUTE:02}"
