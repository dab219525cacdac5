"""How a run stands, in sentences: what is so, and what can be done by whoever sees it. Pure."""

from functools import reduce

from kvmwizard.run.leaving_out import steps_left_out
from kvmwizard.run.model import RunState, RunStatus, StepStatus
from kvmwizard.run.restart import restart_of
from kvmwizard.run.text import not_begun
from kvmwizard.words import Words, say, say_many
from screens.failure import failure_in
from screens.run_watch import RunSight, steps_ended, steps_gone_without

ONLOOKING = say(
    "You only look on: another kvmwizard was opened first. Go on there, or press Esc to take part here."
)
"""In the place of what can be done; true as well once the other one is closed."""

UNREADABLE = say("The run cannot be read; its line says why.")

STANDING: dict[RunStatus, Words] = {
    RunStatus.DONE: say("Every step is done."),
    RunStatus.FAILED: say("A step failed; its line says why."),
    RunStatus.STOPPED: say("The run is stopped."),
    RunStatus.INTERRUPTED: say("The run was interrupted, as by a restart of this machine."),
    RunStatus.NEEDS_ROOT: say("The run waits for root: what did its steps as root is gone."),
    RunStatus.NEEDS_RESTART: say("All that comes before the restart is done."),
    RunStatus.RESTARTED: say("This machine was restarted. What came of it is being looked at."),
}
"""What is so; of a run under way it is counted."""

NEXT: dict[RunStatus, Words] = {
    RunStatus.RUNNING: say("Closing the wizard does not stop the run."),
    RunStatus.DONE: say("Now the proof that guests run: press Enter."),
    RunStatus.FAILED: say("Press a to see what can be done about it."),
    RunStatus.STOPPED: say("Press Enter to go on where it stopped."),
    RunStatus.INTERRUPTED: say("Press Enter to go on; steps that are done are not done again."),
    RunStatus.NEEDS_ROOT: say("Press Enter to give your password again."),
    RunStatus.RESTARTED: say("Should nothing happen, press Enter."),
}
"""What can be done about it; of a run that waits for a restart it names a command."""


def in_a_row(*sentences: Words | None) -> Words:
    """Those sentences that there are, one after the other."""
    return reduce(
        lambda before, after: say("{before} {after}", before=before, after=after),
        [each for each in sentences if each is not None],
    )


def standing(sight: RunSight, option: str, *, onlooker: bool = False) -> Words:
    """How a run stands, what can be done about it, and what its last runner could not say in the journal.

    Args:
        sight: the run as it was seen.
        option: as of `advice` in `kvmwizard.run.text`.
        onlooker: for somebody who cannot do anything about it.
    """
    state = sight.state
    notice = None if state.status is RunStatus.RUNNING else state.notice
    return in_a_row(status_words(sight), ONLOOKING if onlooker else next_words(sight, option), notice)


def unreadable(*, onlooker: bool) -> Words:
    """Said above the reason why nothing of a run can be seen."""
    back = say("Press Esc to go back to the Review page.")
    return in_a_row(UNREADABLE, ONLOOKING if onlooker else back)


def status_words(sight: RunSight) -> Words:
    """How a run stands."""
    state = sight.state
    if not_begun(state):
        if state.plan.undoes is not None:
            return say("To take run {run} back was agreed to, but has not begun.", run=state.plan.undoes)
        return say("The run was agreed to, but has not begun.")
    if state.status is RunStatus.RUNNING:
        return say("{ended} of {total} steps done.", ended=steps_ended(state), total=len(state.steps))
    if state.status is RunStatus.DONE:
        return _done(sight)
    return _after_restart(state) or STANDING[state.status]


def _done(sight: RunSight) -> Words:
    state = sight.state
    if state.plan.undoes is not None:
        if sight.more_to_undo:
            return say("This run is taken back; one before it still stands.")
        return say("Everything that could be taken back is taken back.")
    if steps_left_out(state):
        return say_many(
            "Done, without one step that was skipped.",
            "Done, without {count} steps that were skipped.",
            steps_left_out(state),
        )
    if steps_gone_without(state):
        return say("Done, though a step failed that the rest is good without; its line says why.")
    return STANDING[RunStatus.DONE]


def _after_restart(state: RunState) -> Words | None:
    """What came of the restart that the run waited for; None where it did not wait, or goes on."""
    restart = _restart_status(state)
    if state.status is RunStatus.FAILED and restart is StepStatus.FAILED:
        return say("The new kernel did not come up: another one runs. Its line says how to see why.")
    if state.status is RunStatus.NEEDS_ROOT and restart is StepStatus.DONE:
        return say("The new kernel runs, and guests run with it.")
    return None


def next_words(sight: RunSight, option: str) -> Words | None:
    """What can be done about how the run stands; None where there is nothing to do."""
    state = sight.state
    if not_begun(state):
        return say("Press Enter to begin.")
    if state.status is RunStatus.DONE and state.plan.undoes is not None:
        return say("Press u to take that back, too.") if sight.more_to_undo else None
    if state.status is RunStatus.FAILED and failure_in(state) is None:
        return say("Press Enter to try again.")
    if state.status is RunStatus.NEEDS_ROOT and _restart_status(state) is StepStatus.DONE:
        return say("Press Enter to give your password: it then becomes the default.")
    if state.status is RunStatus.NEEDS_RESTART:
        return say(
            "Restart this machine when it suits you, then open the wizard again: {command}. Enter proves "
            "what runs now.",
            command=f"kvmwizard{option}",
        )
    return NEXT[state.status]


def _restart_status(state: RunState) -> StepStatus | None:
    """How the restart that the run waits for stands; None where it waits for none."""
    step = restart_of(state.plan)
    return None if step is None else state.steps[step.id].status


def parting(state: RunState, option: str) -> Words:
    """What whoever leaves the page is told of the run; `option` as of `advice` in `kvmwizard.run.text`."""
    wizard = f"kvmwizard{option}"
    if state.status is RunStatus.RUNNING:
        return say(
            "The run goes on by itself. To watch it: {wizard}. To see how it stands: {status}",
            wizard=wizard,
            status=f"kvmwizard status{option}",
        )
    if state.status is RunStatus.DONE and state.plan.undoes is not None:
        return say("What could be taken back of run {run} is taken back.", run=state.plan.undoes)
    if state.status is RunStatus.DONE:
        return say(
            "The run is done. To prove that guests run: {command}", command=f"kvmwizard verify{option}"
        )
    if state.status is RunStatus.NEEDS_RESTART:
        return say("Restart this machine when it suits you. To go on after that: {command}", command=wizard)
    return say("The run is not finished. To go on with it, or to undo it: {command}", command=wizard)
