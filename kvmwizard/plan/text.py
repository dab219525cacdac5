"""The plan as plain text, for pipes and terminals without a wizard."""

from collections.abc import Mapping

from rich.cells import cell_len

from kvmwizard.plan.model import Plan, Step, plan_digest
from kvmwizard.plan.shell import shell_lines
from kvmwizard.plan.spans import size_words, span_words
from kvmwizard.words import Words, _, say

LEAST_WIDTH = 40
STEP_INDENT = "    "
COMMAND_INDENT = "      "


def plan_as_text(plan: Plan, evidence: Mapping[str, Words], width: int) -> str:
    """Numbered steps with who does them, their exact commands, and what they take.

    Args:
        plan: what to show.
        evidence: by step id, what shows that the step's work is done already.
        width: terminal cells a line may take; commands are never broken.
    """
    width = max(width, LEAST_WIDTH)
    lines = _wrapped(str(_heading(plan)), width)
    if plan.only_shown is not None:
        lines += _wrapped(str(plan.only_shown), width)
    for number, step in enumerate(plan.steps, 1):
        lines += ["", *_step_lines(number, step, evidence.get(step.id), width)]
    if plan.notes:
        lines += ["", _("Good to know")]
        for note in plan.notes:
            lines += _wrapped(str(note), width, first="  - ", rest=STEP_INDENT)
    left = [step for step in plan.steps if step.id not in evidence]
    lines += ["", *_wrapped(str(_total(left)), width), _("Digest: {digest}", digest=plan_digest(plan))]
    return "\n".join(lines) + "\n"


def _heading(plan: Plan) -> Words:
    if not plan.steps:
        return say("There is nothing to do.")
    if plan.purpose == "undo":
        return say("What will be taken back")
    return say("What will be done, so that {user} can run guests", user=plan.user)


def _total(steps: list[Step]) -> Words:
    if not steps:
        return say("Nothing is left to do.")
    time = str(span_words(sum(step.seconds for step in steps)))
    size = sum(step.disk_bytes for step in steps)
    if not size:
        return say("To do: about {time}.", time=time)
    return say("To do: about {time}, and {size} of disk space.", time=time, size=str(size_words(size)))


def _step_lines(number: int, step: Step, evidence: Words | None, width: int) -> list[str]:
    lines = _wrapped(str(step.title), width, first=f"{number:>2}. ", rest=STEP_INDENT)
    if evidence is not None:
        return lines + _wrapped(
            _("Already so: {evidence}", evidence=str(evidence)), width, STEP_INDENT, STEP_INDENT
        )
    lines += _wrapped(_cost(step), width, STEP_INDENT, STEP_INDENT)
    if not step.required:
        lines += _wrapped(_("Should this fail, the rest goes on."), width, STEP_INDENT, STEP_INDENT)
    lines += [COMMAND_INDENT + line for action in step.actions for line in shell_lines(action)]
    if step.lasting is not None:
        lines += _wrapped(_("Undo: {words}", words=str(step.lasting)), width, STEP_INDENT, STEP_INDENT)
    return lines


def _cost(step: Step) -> str:
    who = _("by root") if step.root else _("by you")
    if not step.seconds and not step.disk_bytes:
        return _("{who}, at once", who=who)
    time = str(span_words(step.seconds))
    if step.disk_bytes:
        return _("{who}, about {time}, {size}", who=who, time=time, size=str(size_words(step.disk_bytes)))
    return _("{who}, about {time}", who=who, time=time)


def _wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Broken at spaces, and where there are none (as in Chinese) at any character; by cells."""
    lines, line = [], first
    for word in text.split(" "):
        space = "" if line in (first, rest) else " "
        if cell_len(line) + len(space) + cell_len(word) <= width:
            line += space + word
            continue
        if space:
            lines.append(line)
            line = rest
        for character in word:
            if cell_len(line) + cell_len(character) > width:
                lines.append(line)
                line = rest
            line += character
    return [*lines, line]
