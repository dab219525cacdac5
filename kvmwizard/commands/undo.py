"""`kvmwizard undo`: takes back what a run changed."""

from kvmwizard.commands.carry_out import carry_out
from kvmwizard.commands.consent import agree_to
from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.output import show, show_json
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.run.observe import plan_evidence
from kvmwizard.run.undo import last_changing_run, undo_plan
from kvmwizard.words import say


def run(options: Options) -> ExitCode:
    """Go on with an unfinished undo, else agree to a new one and run it. Raises CommandRefused."""
    saved = State.of(options)
    saved.take()
    session = saved.session()
    unfinished = saved.unfinished_run(session) if options.run is None else None
    if unfinished is not None and unfinished.plan.undoes is not None:
        return carry_out(saved, unfinished.run_id, options)
    with refusing_runs():
        undone = last_changing_run(saved.runs) if options.run is None else options.run
        if undone is None:
            _tell_that_nothing_stands(options)
            return ExitCode.GOOD
        saved.runs.read(undone)
    with refusing_runs(ExitCode.NOT_GOOD):
        plan = undo_plan(saved.runs, undone)
    agree_to(plan, plan_evidence(plan), options)
    with refusing_runs(ExitCode.NOT_GOOD):
        undo_id = saved.runs.create(plan)
    saved.save(session.model_copy(update={"run_id": undo_id, "page": "run"}))
    return carry_out(saved, undo_id, options)


def _tell_that_nothing_stands(options: Options) -> None:
    if options.json:
        show_json({"event": "nothing-to-undo"})
    else:
        show(say("There is nothing to take back: no run has changed anything that still stands."))
