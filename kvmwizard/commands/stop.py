"""`kvmwizard apply --stop`: brings the run that is under way to a safe end."""

import time

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.commands.status import EXIT_CODES
from kvmwizard.commands.watch import LOOK_SECONDS, reporter_for, watch
from kvmwizard.paths import directory_option
from kvmwizard.run.launch import stop_run
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.words import say
from kvmwizard.wrapping import wrapped


def stop_current_run(saved: State, options: Options) -> ExitCode:
    """Stop it, whoever watches it elsewhere, and wait until it has stopped. Raises CommandRefused."""
    run_id = saved.current_run(saved.session())
    if run_id is not None:
        with refusing_runs():
            state = saved.runs.read(run_id)
            if state.status is RunStatus.RUNNING:
                return _stop_runner(saved, state, options)
            step_id = saved.runs.step_at_work(run_id)
        if step_id is not None:
            return _stop_step(saved, state, step_id, options)
    if options.json:
        show_json({"event": "nothing-to-stop"})
    else:
        show(say("No run is under way."))
    return ExitCode.GOOD


def _stop_runner(saved: State, state: RunState, options: Options) -> ExitCode:
    reporter = reporter_for(options)
    with refusing_runs(ExitCode.NOT_GOOD):
        reporter.stopping()
        stop_run(saved.runs, state.run_id)
        ended = watch(saved.runs, state.run_id, reporter, state.steps, stop=None)
    return EXIT_CODES[ended.status]


def _stop_step(saved: State, state: RunState, step_id: str, options: Options) -> ExitCode:
    """The runner was killed, and one of its steps goes on without it."""
    if not state.plan.step(step_id).root:
        go_on = "kvmwizard apply" if state.plan.undoes is None else "kvmwizard undo"
        raise CommandRefused(
            ExitCode.NOT_GOOD,
            say(
                "The step {step} of the run {run} is still at work, though its runner is gone, so there is "
                "nobody to tell. Wait until it has ended, or go on with the run, which waits for it and can "
                "be stopped: {command}",
                step=step_id,
                run=state.run_id,
                command=go_on + directory_option(saved.directory),
            ),
        )
    if options.json:
        show_json({"event": "stopping", "step": step_id})
    else:
        words = say(
            "The step {step} of the run {run} is still at work as root, though its runner is gone. It is "
            "brought to its end, which may take some minutes; Ctrl-C does not wait for that.",
            step=step_id,
            run=state.run_id,
        )
        show("\n".join(wrapped(str(words), width())))
    with refusing_runs(ExitCode.NOT_GOOD):
        stop_run(saved.runs, state.run_id)
        while saved.runs.step_at_work(state.run_id) == step_id:
            time.sleep(LOOK_SECONDS)
        ended = saved.runs.read(state.run_id)
    reporter_for(options).ended(ended)
    return EXIT_CODES[ended.status]
