"""Carrying a run out from the command line: root's rights, the runner, what happens, the proof."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.machine import read_machine
from kvmwizard.commands.output import complain, show, show_json, width
from kvmwizard.commands.parser import Options
from kvmwizard.commands.proving import Progress, show_proof
from kvmwizard.commands.saved import State, refusing_runs
from kvmwizard.commands.status import EXIT_CODES
from kvmwizard.commands.watch import reporter_for, watch
from kvmwizard.paths import directory_option
from kvmwizard.proof.choose import chosen_qemu
from kvmwizard.proof.json import proof_report
from kvmwizard.proof.prove import prove
from kvmwizard.run.launch import open_root_helper, root_helper_needed, start_runner, stop_run
from kvmwizard.run.leaving_out import brought_kernel
from kvmwizard.run.log import tail
from kvmwizard.run.model import RunState, RunStatus, StepState, StepStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.text import advice
from kvmwizard.run.undo import still_standing
from kvmwizard.words import Words, say
from kvmwizard.wrapping import wrapped

LOG_LINES = 20
"""Of a failed step's log, shown with the failure."""


def carry_out(saved: State, run_id: str, options: Options, left_out: str | None = None) -> ExitCode:
    """Start the run or go on with it, tell what happens, and prove the result. Raises CommandRefused.

    With `left_out` it goes on without that step, which failed, and without what needs it.
    """
    with refusing_runs():
        state = saved.runs.read(run_id)
    with refusing_runs(ExitCode.NOT_GOOD):
        if left_out is None and state.status is RunStatus.RUNNING:
            state = _watched(saved, run_id, options, known={})
        elif left_out is None and state.status is RunStatus.NEEDS_RESTART:
            reporter_for(options).ended(state)
        else:
            state = _gone_on(saved, state, options, left_out)
        _explain(saved, state, options)
    if state.status is RunStatus.DONE and state.plan.undoes is None and not options.no_verify:
        return _proved(state, options)
    return EXIT_CODES[state.status]


def _gone_on(saved: State, state: RunState, options: Options, left_out: str | None) -> RunState:
    _start(saved, state, left_out)
    stands = _watched(saved, state.run_id, options, known=state.steps)
    if state.status is RunStatus.RESTARTED and stands.status is RunStatus.NEEDS_ROOT:
        # Only now: what came of the restart had to be seen first.
        _start(saved, stands, None)
        return _watched(saved, state.run_id, options, known=stands.steps)
    return stands


def _start(saved: State, state: RunState, left_out: str | None) -> None:
    if root_helper_needed(saved.runs, state.run_id, left_out):
        refused = open_root_helper(saved.runs, state.run_id, ask=sys.stdin.isatty())
        if refused is not None:
            raise CommandRefused(ExitCode.RESUMABLE, refused.words)
    retry = state.status is RunStatus.FAILED and left_out is None
    start_runner(saved.runs, state.run_id, retry, left_out)


def _watched(saved: State, run_id: str, options: Options, known: Mapping[str, StepState]) -> RunState:
    return watch(saved.runs, run_id, reporter_for(options), known, lambda: stop_run(saved.runs, run_id))


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
    for words in (*advice(state, directory_option(saved.directory)), *_still_to_undo(saved, state)):
        show("\n".join(wrapped(str(words), width())))


def _still_to_undo(saved: State, state: RunState) -> Iterator[Words]:
    if state.plan.undoes is None or state.status is not RunStatus.DONE:
        return
    # Any of all the runs can be unreadable; this undo is no less done for that.
    with contextlib.suppress(RunRefused):
        other = still_standing(saved.runs, state)
        if other is not None:
            yield say(
                "Run {run} still stands. To take that back, too: {command}",
                run=other,
                command=f"kvmwizard undo{directory_option(saved.directory)}",
            )


def _proved(state: RunState, options: Options) -> ExitCode:
    if not options.json:
        show()
        show(say("Proving that guests run. This takes some seconds, on some machines minutes."))
    plan = state.plan
    # Read anew, for the QEMU that the run has installed, or was told to do without.
    installed = plan.qemu is not None and Path(plan.qemu).exists()
    qemu = plan.qemu if installed else chosen_qemu(read_machine())
    proof = prove(qemu, plan.user, Progress().tell, expected_kernel=brought_kernel(state))
    if options.json:
        show_json({"event": "proof", **proof_report(proof)})
    else:
        show_proof(proof)
    if not proof.good:
        complain(say("The run is done, but the proof is not good: see above what to do."))
    return ExitCode.GOOD if proof.good else ExitCode.NOT_GOOD
