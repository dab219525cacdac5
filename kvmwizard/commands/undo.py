"""`kvmwizard undo`: takes back what a run changed."""

from kvmwizard.commands.carry_out import carry_out
from kvmwizard.commands.consent import agree_to
from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.output import show
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.run.observe import plan_evidence
from kvmwizard.run.undo import create_undo_run, last_changing_run
from kvmwizard.words import say


def run(options: Options) -> ExitCode:
    """Go on with an unfinished undo, else agree to a new one and run it. Raises CommandRefused."""
    saved = State.of(options)
    saved.take()
    session = saved.session()
    unfinished = saved.unfinished_run(session)
    if options.run is None and unfinished is not None and unfinished.plan.undoes is not None:
        return carry_out(saved, unfinished.run_id, options)
    with refusing_runs():
        undone = options.run or last_changing_run(saved.runs)
        if undone is None:
            show(say("There is nothing to take back: no run has changed anything that still stands."))
            return ExitCode.GOOD
        undo_id = create_undo_run(saved.runs, undone)
        plan = saved.runs.plan(undo_id)
    agree_to(plan, plan_evidence(plan), options)
    saved.save(session.model_copy(update={"run_id": undo_id, "page": "run"}))
    return carry_out(saved, undo_id, options)
