"""`kvmwizard apply --stop`: brings the run that is under way to a safe end."""

from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.output import show, show_json
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.commands.status import EXIT_CODES
from kvmwizard.commands.watch import reporter_for, watch
from kvmwizard.run.launch import stop_run
from kvmwizard.run.model import RunStatus
from kvmwizard.words import say


def stop_current_run(saved: State, options: Options) -> ExitCode:
    """Stop it, whoever watches it elsewhere, and wait until it has stopped. Raises CommandRefused."""
    run_id = saved.current_run(saved.session())
    with refusing_runs():
        state = saved.runs.read(run_id) if run_id is not None else None
        if run_id is None or state is None or state.status is not RunStatus.RUNNING:
            if options.json:
                show_json({"event": "nothing-to-stop"})
            else:
                show(say("No run is under way."))
            return ExitCode.GOOD
    reporter = reporter_for(options)
    with refusing_runs(ExitCode.NOT_GOOD):
        reporter.stopping()
        stop_run(saved.runs, run_id)
        return EXIT_CODES[watch(saved.runs, run_id, reporter, state.steps, stop=lambda: None).status]
