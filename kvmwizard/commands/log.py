"""`kvmwizard log`: what a step's commands printed."""

import time

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import complain, show, show_json
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.run.log import LogFollower
from kvmwizard.run.model import RunState, RunStatus, StepStatus
from kvmwizard.run.store import RunStore
from kvmwizard.words import say

LOOK_SECONDS = 0.25
"""Between two looks at a growing log: as fast as an eye needs, at little cost."""

UNDER_WAY = frozenset({StepStatus.WAITING, StepStatus.RUNNING})


def run(options: Options) -> ExitCode:
    """Print the log of the step that was named, else of the one that matters most. Raises CommandRefused."""
    saved = State.of(options)
    run_id = saved.current_run(saved.session())
    if run_id is None:
        raise CommandRefused(ExitCode.NOT_GOOD, say("Nothing has been run yet, so there is no log."))
    with refusing_runs():
        state = saved.runs.read(run_id)
        step = _known_step(options.step, state) if options.step is not None else _step_that_matters(state)
        printed = _print_log(saved.runs, run_id, step, options)
    if not printed:
        complain(say("The step {step} has printed nothing.", step=step))
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
    """The running step, else the failed one, else the one that ended last; with nothing begun the first."""
    for status in (StepStatus.RUNNING, StepStatus.FAILED):
        for step_id, step in state.steps.items():
            if step.status is status:
                return step_id
    return max(state.steps, key=lambda step_id: state.steps[step_id].started or 0.0)


def _print_log(runs: RunStore, run_id: str, step: str, options: Options) -> bool:
    """Print what there is, and with --follow what comes until the step ends; whether there was anything."""
    follower = LogFollower(runs.log_path(run_id, step))
    printed = False
    while True:
        # Asked before reading, so that what a step prints last is read after its end.
        state = runs.read(run_id)
        under_way = state.status is RunStatus.RUNNING and state.steps[step].status in UNDER_WAY
        for line in follower.read() if options.follow and under_way else follower.read_rest():
            printed = True
            if options.json:
                show_json({"step": step, "line": line})
            else:
                show(line)
        if not (options.follow and under_way):
            return printed
        time.sleep(LOOK_SECONDS)
