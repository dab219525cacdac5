"""`kvmwizard log`: what a step's commands printed, and what they print."""

import time
from collections.abc import Sequence

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.look import nothing_was_run, state_to_look_at
from kvmwizard.commands.output import complain, show, show_bytes, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import refusing_runs
from kvmwizard.paths import cannot_write, directory_option
from kvmwizard.run.log import LogFollower
from kvmwizard.run.model import RunState, RunStatus, StepState, StepStatus
from kvmwizard.run.store import RunStore
from kvmwizard.run.text import advice, not_begun, standing, step_lines, step_that_matters
from kvmwizard.words import Words, say

LOOK_SECONDS = 0.25
"""Between two looks at a growing log: as fast as an eye needs, at little cost."""

UNDER_WAY = frozenset({StepStatus.WAITING, StepStatus.RUNNING})
TOLD_BY_WORDS = frozenset({StepStatus.LEFT_OUT, StepStatus.FAILED})
"""Where nothing was printed, as of a restart that brought another kernel."""


def run(options: Options) -> ExitCode:
    """Print the log of the step that was named, else of what matters most. Raises CommandRefused."""
    saved = state_to_look_at(options)
    run_id = saved.current_run(saved.session())
    if run_id is None:
        raise CommandRefused(ExitCode.NOT_GOOD, nothing_was_run(saved.directory))
    with refusing_runs():
        state = saved.runs.read(run_id)
        named = _known_step(options.step, state) if options.step is not None else None
        if options.follow:
            _Following(saved.runs, run_id, named, options).to_the_end()
        else:
            step = named or _step_that_matters(state)
            _print_whole(_Log(saved.runs, run_id, step, options), state.steps[step])
    return ExitCode.GOOD


def _known_step(name: str, state: RunState) -> str:
    if name not in state.steps:
        raise CommandRefused(
            ExitCode.WRONG_USE,
            say(
                "This run has no step {step}. Its steps are: {steps}.",
                step=name,
                steps=", ".join(state.steps),
            ),
        )
    return name


def _step_that_matters(state: RunState) -> str:
    """As of `step_that_matters`; with nothing begun the first. Raises CommandRefused where there are none."""
    if not state.steps:
        raise CommandRefused(ExitCode.NOT_GOOD, say("Nothing has been run yet, so there is no log."))
    return step_that_matters(state) or next(iter(state.steps))


class _Log:
    """One step's log, printed as it grows."""

    def __init__(self, runs: RunStore, run_id: str, step: str, options: Options) -> None:
        self.step = step
        self.printed = False
        self._follower = LogFollower(runs.log_path(run_id, step))
        self._options = options

    def print_more(self, *, over: bool) -> None:
        """Print what came since the last call; of a log that is over, a last line without its end too."""
        try:
            if self._options.raw:
                self._print_bytes()
            else:
                self._print_lines(self._follower.read_rest() if over else self._follower.read())
        except OSError as error:
            raise CommandRefused(ExitCode.NOT_GOOD, cannot_write(self._follower.path, error)) from error

    def say_if_empty(self) -> None:
        """Tell that nothing was printed, where nothing was."""
        if not self.printed:
            complain(say("The step {step} has printed nothing.", step=self.step))

    @property
    def gone(self) -> Words | None:
        """That the file is not there, where it is not."""
        path = self._follower.path
        return None if path.is_file() else say("The log {path} is not there any more.", path=str(path))

    def _print_bytes(self) -> None:
        while content := self._follower.read_bytes():
            self.printed = True
            show_bytes(content)

    def _print_lines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.printed = True
            if self._options.json:
                show_json({"step": self.step, "line": line})
            else:
                show(line)


def _print_whole(log: _Log, step: StepState) -> None:
    log.print_more(over=True)
    if log.printed:
        return
    if step.returncode is not None and log.gone is not None:
        complain(log.gone)
    elif step.status in TOLD_BY_WORDS and step.words is not None:
        complain(step.words)
    else:
        log.say_if_empty()


class _Following:
    """Prints one step's log until the step is over; where none is named, step after step until the run is.

    Steps that are at work at the same time follow one another in the order in which they began, each
    with all that it printed: so everybody who follows reads the same.
    """

    def __init__(self, runs: RunStore, run_id: str, named: str | None, options: Options) -> None:
        self._runs, self._run_id, self._options = runs, run_id, options
        self._named = named
        self._option = directory_option(runs.state_directory)
        self._log: _Log | None = None
        self._followed: set[str] = set()
        self._since: float | None = None
        """When the step that was followed first began: those before it are of no interest."""
        self._waits = False

    def to_the_end(self) -> None:
        """Print and wait; Ctrl-C leaves, which is no fault."""
        try:
            state = self._follow()
        except KeyboardInterrupt:
            complain(
                say(
                    "No longer following. The run is not stopped by this: {command}",
                    command=f"kvmwizard status{self._option}",
                )
            )
            return
        self._say_how_it_stands(state)

    def _follow(self) -> RunState:
        while True:
            # Asked before reading, so that what a step prints last is read after its end.
            state = self._runs.read(self._run_id)
            goes_on = state.status is RunStatus.RUNNING or not_begun(state)
            if self._log is None:
                self._open_next(state)
            if self._log is not None:
                over = not goes_on or state.steps[self._log.step].status not in UNDER_WAY
                self._log.print_more(over=over)
                if over and self._ends_with(self._log):
                    return state
                if over:
                    continue
            elif not goes_on:
                return state
            if not_begun(state):
                self._say_that_it_waits(state)
            time.sleep(LOOK_SECONDS)

    def _ends_with(self, log: _Log) -> bool:
        """Whether the log that is over was all that was asked for."""
        if self._named is not None:
            log.say_if_empty()
            return True
        self._followed.add(log.step)
        self._log = None
        return False

    def _open_next(self, state: RunState) -> None:
        step = self._named or self._next_step(state)
        if step is None:
            return
        self._log = _Log(self._runs, self._run_id, step, self._options)
        self._since = state.steps[step].started if self._since is None else self._since
        if self._named is None and not self._options.raw and not self._options.json:
            show(next(step_lines(state.plan.step(step), state.steps[step], width())))

    def _next_step(self, state: RunState) -> str | None:
        """The one that began next; at first the one under way, or what matters in a run that is over."""
        began = {name: step.started for name, step in state.steps.items() if step.started is not None}
        if self._since is None:
            running = [name for name in began if state.steps[name].status is StepStatus.RUNNING]
            if running:
                return min(running, key=lambda name: began[name])
            over = state.status is not RunStatus.RUNNING and bool(began)
            return _step_that_matters(state) if over else None
        after = [name for name in began if name not in self._followed and began[name] >= self._since]
        return min(after, key=lambda name: began[name], default=None)

    def _say_that_it_waits(self, state: RunState) -> None:
        if not self._waits:
            self._waits = True
            complain(standing(state))
            complain(say("Waiting for it. Ctrl-C leaves."))

    def _say_how_it_stands(self, state: RunState) -> None:
        """Where following ends without the run's end, somebody must do something."""
        if state.status is RunStatus.RUNNING:
            return
        complain(standing(state))
        for words in advice(state, self._option):
            complain(words)
