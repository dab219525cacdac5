"""`kvmwizard apply`: carries the plan out, or goes on with a run that stopped."""

from kvmwizard.answers import Answers
from kvmwizard.commands.carry_out import carry_out
from kvmwizard.commands.consent import agree_to
from kvmwizard.commands.decisions import feasible_answers
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.given_sources import with_given_sources
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import show
from kvmwizard.commands.parser import Options
from kvmwizard.commands.plan import evidence_of, planned
from kvmwizard.commands.saved import State, answers_from, refusing_runs
from kvmwizard.commands.skip import skip_step
from kvmwizard.commands.stop import stop_current_run
from kvmwizard.paths import directory_option
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.session import Session
from kvmwizard.words import say


def run(options: Options) -> ExitCode:
    """Go on with the session's unfinished run, else agree to a new plan and run it. Raises CommandRefused."""
    saved = State.of(options)
    if options.answers is not None and (options.stop or options.skip is not None):
        raise CommandRefused(
            ExitCode.WRONG_USE,
            say("--stop and --skip are about the run that there is, and take no --answers."),
        )
    if options.stop:
        return stop_current_run(saved, options)
    if options.skip is not None:
        return skip_step(saved, options.skip, options)
    answers = None if options.answers is None else answers_from(options.answers)
    saved.take()
    session = saved.session(agreed_to=options.yes and options.answers is None)
    wanted = with_given_sources(session.answers if answers is None else answers, options)
    unfinished = saved.unfinished_run(session)
    if unfinished is None:
        return _begin(saved, session, wanted, options)
    if unfinished.plan.undoes is None and _agrees(wanted, session.answers):
        if not options.json:
            show(say("Going on with run {run}, which was agreed to before.", run=unfinished.run_id))
        return carry_out(saved, unfinished.run_id, options)
    _refuse_while_under_way(saved, unfinished)
    return _begin(saved, session, wanted, options)


def _agrees(answers: Answers, decided: Answers) -> bool:
    """Whether the pages that are answered were decided the same before."""
    return all(getattr(answers, page) in {None, getattr(decided, page)} for page in Answers.model_fields)


def _refuse_while_under_way(saved: State, unfinished: RunState) -> None:
    if unfinished.status is RunStatus.RUNNING:
        raise CommandRefused(
            ExitCode.NOT_GOOD,
            say(
                "Run {run}, of another plan, is under way. See it with {command}, and let it end before "
                "giving it new answers.",
                run=unfinished.run_id,
                command=f"kvmwizard status{directory_option(saved.directory)}",
            ),
        )


def _begin(saved: State, session: Session, answers: Answers, options: Options) -> ExitCode:
    facts = read_machine()
    decided = feasible_answers(answers, facts)
    plan = planned(decided, facts)
    agree_to(plan, evidence_of(plan, facts), options)
    with refusing_runs(ExitCode.NOT_GOOD):
        run_id = saved.runs.create(plan)
    # Completed, so that what this run installs does not change what was decided.
    saved.save(session.model_copy(update={"answers": decided, "run_id": run_id, "page": "run"}))
    return carry_out(saved, run_id, options)
