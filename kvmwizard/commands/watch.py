"""Watching a run from the command line: its steps as they come, until it ends or is left."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.paths import directory_option
from kvmwizard.plan.model import Step
from kvmwizard.run.json import step_report
from kvmwizard.run.model import RunState, RunStatus, StepState, StepStatus
from kvmwizard.run.store import RunStore
from kvmwizard.run.text import INDENT, standing, step_lines
from kvmwizard.words import say
from kvmwizard.wrapping import wrapped

LOOK_SECONDS = 0.25
"""Between two looks at the journal."""
PROGRESS_SECONDS = 5.0
"""Between two lines on how far a step has come, so that nothing is waited for in silence."""


class Reporter(Protocol):
    """How what happens is told."""

    def step_changed(self, step: Step, state: StepState) -> None:
        """A step began or ended."""

    def progressed(self, runs: RunStore, run_id: str, step: Step) -> None:
        """A step is still running."""

    def stopping(self) -> None:
        """The person asked to stop."""

    def ended(self, state: RunState) -> None:
        """The run is no longer under way."""


class TextReporter:
    """For people."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()
        self._told = ""

    def step_changed(self, step: Step, state: StepState) -> None:
        """The step's sign and title, and the evidence or the failure."""
        show("\n".join(step_lines(step, state, width())))
        self._told_at = time.monotonic()

    def progressed(self, runs: RunStore, run_id: str, step: Step) -> None:
        """What is going on, at most every few seconds and only if it is news."""
        if time.monotonic() - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at = time.monotonic()
        progress = runs.progress(run_id, step.id)
        text = "" if progress is None else str(progress.words)
        if text and text != self._told:
            show("\n".join(INDENT + line for line in wrapped(text, width() - len(INDENT))))
            self._told = text

    def stopping(self) -> None:
        """That it takes a moment, and how to leave sooner."""
        show(
            say(
                "Stopping: what is under way is brought to a safe end. Ctrl-C leaves at once; the run then "
                "stops by itself."
            )
        )

    def ended(self, state: RunState) -> None:
        """How the run stands now."""
        show(standing(state))


class JsonReporter:
    """For programs: one JSON object a line."""

    def step_changed(self, step: Step, state: StepState) -> None:
        """The step as `kvmwizard status --json` has it."""
        show_json({"event": "step", **step_report(step, state)})

    def progressed(self, runs: RunStore, run_id: str, step: Step) -> None:
        """Nothing: a program that wants progress asks for the status."""

    def stopping(self) -> None:
        """That somebody asked to stop."""
        show_json({"event": "stopping"})

    def ended(self, state: RunState) -> None:
        """How the run stands now."""
        show_json({"event": "ended", "status": state.status.value})


def reporter_for(options: Options) -> Reporter:
    """Text for people, unless JSON was asked for."""
    return JsonReporter() if options.json else TextReporter()


def watch(
    runs: RunStore,
    run_id: str,
    reporter: Reporter,
    known: Mapping[str, StepState],
    stop: Callable[[], None] | None,
) -> RunState:
    """Tell what happens until the run is no longer under way, and return how it stands.

    Steps that stand as `known` are not told. The first Ctrl-C calls `stop`, or nothing
    where that was done before, and waits for the end. Raises CommandRefused at the next,
    RunRefused where the run cannot be read.
    """
    told = dict(known)
    while True:
        try:
            state = runs.read(run_id)
            _tell(state, told, reporter, runs)
            if state.status is not RunStatus.RUNNING:
                reporter.ended(state)
                return state
            time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            if stop is None:
                raise _left(runs) from None
            reporter.stopping()
            stop()
            stop = None


def _left(runs: RunStore) -> CommandRefused:
    return CommandRefused(
        ExitCode.RESUMABLE,
        say(
            "Left while the run is stopping. See how it stands with: {command}",
            command=f"kvmwizard status{directory_option(runs.state_directory)}",
        ),
    )


def _tell(state: RunState, told: dict[str, StepState], reporter: Reporter, runs: RunStore) -> None:
    for step in state.plan.steps:
        now = state.steps[step.id]
        if now.status is not StepStatus.WAITING and now != told.get(step.id):
            told[step.id] = now
            reporter.step_changed(step, now)
        if now.status is StepStatus.RUNNING:
            reporter.progressed(runs, state.run_id, step)
