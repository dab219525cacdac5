"""`kvmwizard status`: how the run stands."""

from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.look import nothing_was_run, state_to_look_at
from kvmwizard.commands.output import show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.paths import directory_option
from kvmwizard.run.json import run_report
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.run.text import run_lines

EXIT_CODES = {
    RunStatus.RUNNING: ExitCode.GOOD,
    RunStatus.DONE: ExitCode.GOOD,
    RunStatus.FAILED: ExitCode.NOT_GOOD,
    RunStatus.NEEDS_ROOT: ExitCode.RESUMABLE,
    RunStatus.NEEDS_RESTART: ExitCode.RESUMABLE,
    RunStatus.RESTARTED: ExitCode.RESUMABLE,
    RunStatus.STOPPED: ExitCode.RESUMABLE,
    RunStatus.INTERRUPTED: ExitCode.RESUMABLE,
}


def run(options: Options) -> ExitCode:
    """Print the current run; nothing having been run is good as well. Raises CommandRefused."""
    saved = state_to_look_at(options)
    state = _current(saved)
    if options.json:
        show_json({"run": None if state is None else run_report(state)})
    elif state is None:
        show(nothing_was_run(saved.directory))
    else:
        show("\n".join(run_lines(state, width(), directory_option(saved.directory))))
    return ExitCode.GOOD if state is None else EXIT_CODES[state.status]


def _current(saved: State) -> RunState | None:
    run_id = saved.current_run(saved.session())
    if run_id is None:
        return None
    with refusing_runs():
        return saved.runs.read(run_id)
