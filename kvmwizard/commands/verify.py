"""`kvmwizard verify`: proves that guests run, by running some."""

import sys

from kvmwizard.answers import Answers
from kvmwizard.commands.decisions import require_user
from kvmwizard.commands.exit_code import ExitCode
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import colour, complain, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State
from kvmwizard.host.facts import Facts
from kvmwizard.proof.choose import chosen_qemu
from kvmwizard.proof.json import proof_report
from kvmwizard.proof.model import Proof
from kvmwizard.proof.prove import prove
from kvmwizard.proof.text import proof_as_text
from kvmwizard.run.leaving_out import brought_kernel
from kvmwizard.run.model import RunStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.session import Session
from kvmwizard.words import Words


def run(options: Options) -> ExitCode:
    """Prove for the user that was named, else for whom it is, and print. Raises CommandRefused."""
    facts = read_machine()
    if options.user is not None:
        require_user(options.user, facts)
    state = State.of(options)
    session = state.session()
    proof = prove(
        options.qemu or chosen_qemu(facts, session.answers),
        options.user or proved_user(session.answers, facts),
        Progress().tell,
        expected_kernel=installed_kernel(state, session),
    )
    if options.json:
        show_json(proof_report(proof))
    else:
        show_proof(proof)
    return ExitCode.GOOD if proof.good else ExitCode.NOT_GOOD


def proved_user(answers: Answers, facts: Facts) -> str | None:
    """The caller; for root, who can prove for anyone, the user whom the host is set up for."""
    if facts.users.caller == "root" and answers.access is not None:
        return answers.access.user
    return facts.users.person


def installed_kernel(state: State, session: Session) -> str | None:
    """The release of the kernel that the last run installed; None where it installed none."""
    run_id = state.current_run(session)
    if run_id is None:
        return None
    try:
        run = state.runs.read(run_id)
    except RunRefused:
        return None
    return brought_kernel(run) if run.status is RunStatus.DONE else None


def show_proof(proof: Proof) -> None:
    """Print a proof for people."""
    show(proof_as_text(proof, width(), colour()))


class Progress:
    """Tells a person at a terminal, on standard error, what is being waited for: each sentence once."""

    def __init__(self) -> None:
        self._told = ""

    def tell(self, words: Words) -> None:
        """Print the words, unless they are what was printed last or nobody watches."""
        if sys.stderr.isatty() and words.template != self._told:
            complain(words)
            self._told = words.template
