"""The plan as plain text, for pipes and terminals without a wizard."""

from collections.abc import Mapping

from kvmwizard.plan.model import Plan, Step, plan_digest
from kvmwizard.plan.shell import shell_lines
from kvmwizard.plan.spans import size_words, span_words
from kvmwizard.words import Place, Words, _, say
from kvmwizard.wrapping import wrapped

LEAST_WIDTH = 40
STEP_INDENT = "    "
COMMAND_INDENT = "      "


def plan_as_text(plan: Plan, evidence: Mapping[str, Words], width: int, seconds: float | None = None) -> str:
    """Numbered steps with who does them, their exact commands, and what they take.

    Args:
        plan: what to show.
        evidence: by step id, what shows that the step's work is done already.
        width: terminal cells a line may take; commands are never broken.
        seconds: how long all that is left takes, as the run's scheduler expects it; without it, as if its
            steps came one after the other.
    """
    width = max(width, LEAST_WIDTH)
    lines = wrapped(str(_heading(plan)), width)
    if plan.only_shown is not None:
        lines += wrapped(str(plan.only_shown), width)
    for number, step in enumerate(plan.steps, 1):
        lines += ["", *_step_lines(number, step, evidence.get(step.id), width, plan.builder)]
    if plan.notes:
        lines += ["", _("Good to know")]
        for note in plan.notes:
            lines += _indented(note, width, first="  - ")
    left = [step for step in plan.steps if step.id not in evidence]
    if seconds is None:
        seconds = sum(step.seconds for step in left)
    total = _total(left, seconds)
    lines += ["", *wrapped(str(total), width), _("Digest: {digest}", digest=plan_digest(plan))]
    return "\n".join(lines) + "\n"


def _heading(plan: Plan) -> Words:
    if not plan.steps:
        return say("There is nothing to do.")
    if plan.undoes is not None:
        return say("What will be taken back of run {run}", run=plan.undoes)
    return say("What will be done, so that {user} can run guests", user=plan.user)


def _total(steps: list[Step], seconds: float) -> Words:
    if not steps:
        return say("Nothing is left to do.")
    time = span_words(seconds)
    size = sum(step.disk_bytes for step in steps)
    if not size:
        return say("To do: about {time}.", time=time)
    return say("To do: about {time}, and {size} of disk space.", time=time, size=size_words(size))


def _step_lines(
    number: int, step: Step, evidence: Words | None, width: int, builder: str | None
) -> list[str]:
    lines = _indented(step.title, width, first=f"{number:>2}. ")
    if evidence is not None:
        return lines + _indented(say("Already so: {evidence}", evidence=evidence), width)
    lines += _indented(_cost(step, builder), width)
    if not step.required:
        lines += _indented(say("Should this fail, the rest goes on."), width)
    lines += [COMMAND_INDENT + line for action in step.actions for line in shell_lines(action)]
    if step.lasting is not None:
        lines += _indented(say("Undo: {words}", words=step.lasting), width)
    return lines


def _cost(step: Step, builder: str | None) -> Words:
    """Who does the step, how long it takes, and how much of the disk."""
    actor = _actor(step, builder)
    time = say("about {time}", time=duration(step)) if step.seconds else duration(step)
    if step.disk_bytes:
        return say("by {actor}, {time}, {size}", actor=actor, time=time, size=size_words(step.disk_bytes))
    return say("by {actor}, {time}", actor=actor, time=time)


def duration(step: Step) -> Words:
    """How long the step takes by itself, as `2 minutes`."""
    return span_words(step.seconds) if step.seconds else say("at once")


def _actor(step: Step, builder: str | None) -> Place:
    """In the middle of a sentence."""
    if step.root:
        return say("root")
    if builder is None:
        return say("you")
    if builder.isdigit():
        return say("user number {number}", number=builder)
    return builder


def _indented(text: Words, width: int, first: str = STEP_INDENT) -> list[str]:
    """The text in lines that stand under a step's title; `first` is as wide as the indent."""
    start, *rest = wrapped(str(text), width - len(STEP_INDENT))
    return [first + start, *(STEP_INDENT + line for line in rest)]
