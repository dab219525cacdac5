"""What is said of a failed step, and what the person can choose to do about it. Pure."""

import os.path
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.plan.build_model import BuilderAction
from kvmwizard.plan.model import Plan, Step
from kvmwizard.run.leaving_out import also_left_out, why_not_left_out
from kvmwizard.run.model import RunState, RunStatus, StepStatus
from kvmwizard.words import Words, _, say, say_many
from screens.widgets.entries import Entry, Part, Sign

FIRST_CHOICE = "retry"
KEYS = {
    FIRST_CHOICE: "t",
    "use_unverified": "v",
    "skip": "s",
    "open_shell": "o",
    "undo": "u",
    "save_report": "r",
    "turn_over": "a",
}
"""Which key does the same, by the action."""


@dataclass(frozen=True)
class Failure:
    """The step that a run failed for, and what goes with it."""

    step: Step
    words: Words | None
    """What happened and why."""
    failed: int
    """How many steps failed, this one included."""
    behind: tuple[Step, ...]
    """What is not done either if the run goes on without the step."""
    why_not_skip: Words | None
    """Why that cannot be; None where it can."""


def failure_in(state: RunState) -> Failure | None:
    """The first failure of a run that has ended with one; None for every other run."""
    if state.status is not RunStatus.FAILED:
        return None
    failed = [
        step
        for step in state.plan.steps
        if step.required and state.steps[step.id].status is StepStatus.FAILED
    ]
    if not failed:
        return None
    first = failed[0]
    return Failure(
        step=first,
        words=state.steps[first.id].words,
        failed=len(failed),
        behind=also_left_out(state.plan, state.steps, first.id),
        why_not_skip=why_not_left_out(state.plan, state.steps, first.id),
    )


def headline(failure: Failure) -> Words:
    """What failed, and the cause as far as it is known."""
    return say_many(
        "A step failed: {step}. {cause}",
        "A step failed: {step}, the first of {count}. {cause}",
        failure.failed,
        step=failure.step.title,
        cause=failure.words if failure.words is not None else "",
    )


def choices(
    failure: Failure, *, shell: Words | Path, undo: bool, unverified: str | None
) -> tuple[Entry, ...]:
    """What can be done, the most likely first; each is called as the page's action.

    Args:
        failure: what failed.
        shell: where a shell would be opened, or why none is.
        undo: whether the run can be taken back.
        unverified: the file that nothing vouches for, where that is why the step failed.
    """
    again = say("It is done once more, and then what waits for it. What is done stays done.")
    undone = say("Shows what the run has changed and would be taken back, and asks first.")
    report = say(
        "Packs facts, plan, journal and logs into one file, to ask somebody for help with. Names and "
        "addresses are taken out. Shows what it holds, and asks first."
    )
    steps = say("All steps of the run, and how each of them stands. The a key brings you back here.")
    return (
        _choice(FIRST_CHOICE, _("Try again"), again),
        *(() if unverified is None else (_use_unverified(unverified),)),
        _skip(failure),
        _shell(shell),
        *((_choice("undo", _("Undo"), undone),) if undo else ()),
        _choice("save_report", _("Save a report"), report),
        _choice("turn_over", _("Look at the steps"), steps),
    )


def _choice(action: str, title: str, meaning: Words, detail: str = "") -> Entry:
    part = Part(_("Then"), str(meaning))
    return Entry(action, Sign.NONE, title, detail, aside=KEYS[action], explanation=(part,))


def _no_choice(action: str, title: str, why: Words) -> Entry:
    part = Part(_("Why not"), str(why))
    return Entry(action, Sign.NOT_APPLICABLE, title, _("not possible"), explanation=(part,))


def withheld(choice: Entry, why: Words) -> Entry:
    """The choice while it cannot be made."""
    return _no_choice(choice.id, choice.title, why)


def _use_unverified(name: str) -> Entry:
    meaning = say("You type its name, which is the agreement, and a new plan is made for you to review.")
    return _choice("use_unverified", _("Use {name} unverified", name=name), meaning)


def _skip(failure: Failure) -> Entry:
    title = _("Skip this step")
    if failure.why_not_skip is not None:
        return _no_choice("skip", title, failure.why_not_skip)
    behind = len(failure.behind)
    detail = str(say_many("and one that needs it", "and {count} that need it", behind)) if behind else ""
    return _choice("skip", title, skip_words(failure), detail)


def skip_words(failure: Failure) -> Words:
    """What going on without the step means."""
    if not failure.behind:
        return say("The run ends without it. No other step needs it; the proof at the end may.")
    return say_many(
        "The run ends without it, and without {steps}, which needs it.",
        "The run ends without it, and without what needs it: {steps}.",
        len(failure.behind),
        steps=", ".join(f"“{step.title}”" for step in failure.behind),
    )


def skip_question(failure: Failure) -> Words:
    """Asks whether to go on without the step; what else is not done stands below."""
    if not failure.behind:
        return say(
            "Skip “{step}”? No other step needs it; the proof at the end may.", step=failure.step.title
        )
    return say_many(
        "Skip “{step}”? Not done either is one step that needs it:",
        "Skip “{step}”? Not done either are {count} steps that need it:",
        len(failure.behind),
        step=failure.step.title,
    )


def _shell(shell: Words | Path) -> Entry:
    title = _("Open a shell there")
    if isinstance(shell, Words):
        return _no_choice("open_shell", title, shell)
    meaning = say("Your own shell, in {folder}. Type exit in it to come back here.", folder=str(shell))
    return _choice("open_shell", title, meaning)


def shell_folder(plan: Plan, step: Step, log: Path) -> Path:
    """Where one looks into the failure: where the step was building, else where the logs are."""
    folders = [
        Path(folder)
        for action in step.actions
        if isinstance(action, BuilderAction)
        for name in ("build", "tree", "folder")
        if (folder := getattr(action, name, None)) is not None
    ]
    if folders and plan.build_folder is not None:
        folders.append(Path(plan.build_folder))
    # Not Path.is_dir, which raises PermissionError below a folder that must not be searched.
    return next((folder for folder in folders if os.path.isdir(folder)), log.parent)  # noqa: PTH112  -- as said
