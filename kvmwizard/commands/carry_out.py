"""Carrying a run out from the command line: root's rights, the runner, what happens, the proof."""

import sys
from collections.abc import Mapping

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import complain, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.commands.status import EXIT_CODES
from kvmwizard.commands.verify import Progress, show_proof
from kvmwizard.commands.watch import reporter_for, watch
from kvmwizard.plan.model import Plan
from kvmwizard.proof.choose import chosen_qemu
from kvmwizard.proof.json import proof_report
from kvmwizard.proof.prove import prove
from kvmwizard.run.launch import open_root_helper, root_helper_needed, start_runner, stop_run
from kvmwizard.run.log import tail
from kvmwizard.run.model import RunState, RunStatus, StepState, StepStatus
from kvmwizard.run.text import next_action
from kvmwizard.words import say
from kvmwizard.wrapping import wrapped

LOG_LINES = 20
"""Of a failed step's log, shown with the failure."""


def carry_out(saved: State, run_id: str, options: Options) -> ExitCode:
    """Start the run or go on with it, tell what happens, and prove the result. Raises CommandRefused."""
    with refusing_runs():
        state = saved.runs.read(run_id)
        if state.status is RunStatus.RUNNING:
            state = _watched(saved, run_id, options, known={})
        else:
            _start(saved, state)
            state = _watched(saved, run_id, options, known=state.steps)
        _explain(saved, state, options)
    if state.status is RunStatus.DONE and state.plan.purpose == "setup" and not options.no_verify:
        return _proved(state.plan, options)
    return EXIT_CODES[state.status]


def _start(saved: State, state: RunState) -> None:
    if root_helper_needed(saved.runs, state.run_id):
        refused = open_root_helper(saved.runs, state.run_id, ask=sys.stdin.isatty())
        if refused is not None:
            raise CommandRefused(ExitCode.RESUMABLE, refused.words)
    start_runner(saved.runs, state.run_id, retry=state.status is RunStatus.FAILED)


def _watched(saved: State, run_id: str, options: Options, known: Mapping[str, StepState]) -> RunState:
    try:
        return watch(saved.runs, run_id, reporter_for(options), known, lambda: stop_run(saved.runs, run_id))
    except KeyboardInterrupt as interrupt:
        raise CommandRefused(
            ExitCode.RESUMABLE,
            say("Left while the run is stopping. See how it stands with: kvmwizard status"),
        ) from interrupt


def _explain(saved: State, state: RunState, options: Options) -> None:
    """For a failure the end of its log, and what to do next; JSON's events have said it."""
    if options.json:
        return
    for step_id, step in state.steps.items():
        if step.status is StepStatus.FAILED:
            path = saved.runs.log_path(state.run_id, step_id)
            lines = tail(path, LOG_LINES)
            if lines:
                show(say("The last lines of {path}:", path=str(path)))
                show("\n".join(f"  {line}" for line in lines))
    advice = next_action(state)
    if advice is not None:
        show("\n".join(wrapped(str(advice), width())))


def _proved(plan: Plan, options: Options) -> ExitCode:
    if not options.json:
        show()
        show(say("Proving that guests run. This takes some seconds, on some machines minutes."))
    # Read anew, for the QEMU that the run has installed.
    qemu = plan.qemu or chosen_qemu(read_machine())
    proof = prove(qemu, plan.user, Progress().tell, expected_kernel=plan.kernel_release)
    if options.json:
        show_json({"event": "proof", **proof_report(proof)})
    else:
        show_proof(proof)
    if not proof.good:
        complain(say("The run is done, but the proof is not good: see above what to do."))
    return ExitCode.GOOD if proof.good else ExitCode.NOT_GOOD
