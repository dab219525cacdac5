"""`kvmwizard apply --skip STEP`: goes on with a run without a step that failed."""

from kvmwizard.commands.carry_out import carry_out
from kvmwizard.commands.consent import agreed, somebody_can_answer
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import show, show_json
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State
from kvmwizard.paths import directory_option
from kvmwizard.run.leaving_out import UNDER_WAY, also_left_out, why_not_left_out
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.words import _, say, say_many


def skip_step(saved: State, step: str, options: Options) -> ExitCode:
    """Say what it means, have it agreed to, and go on without the step. Raises CommandRefused."""
    saved.take()
    unfinished = saved.unfinished_run(saved.session())
    if unfinished is None:
        raise CommandRefused(
            ExitCode.WRONG_USE,
            say(
                "No run is unfinished, so there is nothing to skip. See: {command}",
                command=f"kvmwizard status{directory_option(saved.directory)}",
            ),
        )
    refused = why_not_left_out(unfinished.plan, unfinished.steps, step)
    if unfinished.status is RunStatus.RUNNING:
        refused = UNDER_WAY
    if refused is not None:
        raise CommandRefused(ExitCode.WRONG_USE, refused)
    _agree(unfinished, step, options)
    return carry_out(saved, unfinished.run_id, options, left_out=step)


def _agree(run: RunState, step: str, options: Options) -> None:
    behind = also_left_out(run.plan, run.steps, step)
    if options.json:
        show_json({"event": "skip", "step": step, "also": [each.id for each in behind]})
    else:
        show(say("Not done will be: {step}  [{id}]", step=run.plan.step(step).title, id=step))
        if behind:
            show(say_many("One step that needs it:", "{count} steps that need it:", len(behind)))
        for each in behind:
            show(f"  {each.title}  [{each.id}]")
    if options.yes:
        return
    if not somebody_can_answer(options):
        raise CommandRefused(
            ExitCode.WRONG_USE,
            say(
                "Nobody can be asked here (no terminal, output that is piped, or --json). Nothing was "
                "changed. To agree to that, run the same again with --yes."
            ),
        )
    if not agreed(_("Go on without that? [y/N] ")):
        raise CommandRefused(ExitCode.NOT_GOOD, say("Nothing was changed."))
