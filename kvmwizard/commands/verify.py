"""`kvmwizard verify`: proves that guests run, by running some; after a restart it offers to go on."""

from kvmwizard.answers import Answers
from kvmwizard.commands.carry_out import carry_out
from kvmwizard.commands.consent import agreed, somebody_can_answer
from kvmwizard.commands.decisions import require_user
from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.given_qemu import named_qemu
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.proving import Progress, show_proof
from kvmwizard.commands.saved import State
from kvmwizard.host.facts import Facts
from kvmwizard.paths import directory_option
from kvmwizard.plan.build_model import SetDefaultBoot
from kvmwizard.proof.choose import chosen_qemu
from kvmwizard.proof.json import proof_report
from kvmwizard.proof.model import Proof
from kvmwizard.proof.prove import prove
from kvmwizard.run.leaving_out import brought_kernel
from kvmwizard.run.model import RunState
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.restart import goes_on_now, kernel_is_installed, restart_failure
from kvmwizard.session import Session
from kvmwizard.words import Words, say
from kvmwizard.wrapping import wrapped


def run(options: Options) -> ExitCode:
    """Prove for the user that was named, else for whom it is, and print. Raises CommandRefused."""
    facts = read_machine()
    if options.user is not None:
        require_user(options.user, facts)
    named = None if options.qemu is None else named_qemu(options.qemu)
    state = State.of(options)
    session = state.session()
    last = last_run(state, session)
    failure = None if last is None else restart_failure(last)
    proof = prove(
        named or chosen_qemu(facts, session.answers),
        options.user or proved_user(session.answers, facts),
        Progress().tell,
        expected_kernel=None if last is None or not kernel_is_installed(last) else brought_kernel(last),
        not_started=failure,
    )
    if options.json:
        show_json(proof_report(proof))
    else:
        show_proof(proof)
    good = proof.good and failure is None
    if last is not None and goes_on_now(last) and not options.json:
        return _go_on(state, last, options, proof)
    return ExitCode.GOOD if good else ExitCode.NOT_GOOD


def _go_on(saved: State, waiting: RunState, options: Options, proof: Proof) -> ExitCode:
    """The new kernel runs: do what the run has left for that, if the proof is good and somebody agrees."""
    option = directory_option(saved.directory)
    show()
    if not proof.good:
        _tell(
            say(
                "The new kernel is not made the default, since guests were not proved to run with it. Do "
                "what is said above, then run this again; or take everything back: {command}",
                command=f"kvmwizard undo {waiting.run_id}{option}",
            )
        )
        return ExitCode.NOT_GOOD
    if not somebody_can_answer(options):
        _tell(
            say(
                "Run {run} has more to do after the restart: {command}",
                run=waiting.run_id,
                command=f"kvmwizard apply{option}",
            )
        )
        return ExitCode.GOOD
    if not agreed(str(_question(waiting))):
        _tell(say("Nothing was changed. To do it later: {command}", command=f"kvmwizard apply{option}"))
        return ExitCode.GOOD
    saved.take()
    options.no_verify = True
    return carry_out(saved, waiting.run_id, options)


def _question(waiting: RunState) -> Words:
    sets_default = any(
        isinstance(action, SetDefaultBoot) for step in waiting.plan.steps for action in step.actions
    )
    if sets_default:
        return say("Make Linux {release} the default now? [y/N] ", release=waiting.plan.kernel_release or "")
    return say("Do now what run {run} has left for after the restart? [y/N] ", run=waiting.run_id)


def _tell(words: Words) -> None:
    show("\n".join(wrapped(str(words), width())))


def proved_user(answers: Answers, facts: Facts) -> str | None:
    """The caller; for root, who can prove for anyone, the user whom the host is set up for."""
    if facts.users.caller == "root" and answers.access is not None:
        return answers.access.user
    return facts.users.person


def last_run(state: State, session: Session) -> RunState | None:
    """The session's run, else the last one; None where there is none that can be read."""
    run_id = state.current_run(session)
    if run_id is None:
        return None
    try:
        return state.runs.read(run_id)
    except RunRefused:
        return None
