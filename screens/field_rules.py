"""A typed text as one field of an answer: the answer models' own rules decide what can be one."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pydantic import ValidationError

from kvmwizard.answers import AnswerModel
from kvmwizard.text_rules import WRONG_TEXTS, quoted
from kvmwizard.words import Words, say
from screens.text_dialog import Rule

AnswerType = TypeVar("AnswerType", bound=AnswerModel)
Parse = Callable[[str], object]
"""The field's value for what was typed. Raises ValueError for what can be none."""

JOBS_WORDS = say("{key} is {value}, but must be a number from 1 to 1024, or nothing.")


def changed(answer: AnswerType, field: str, value: object) -> AnswerType | None:
    """The answer with one field changed; None where the answer's own rules refuse the value."""
    try:
        return type(answer).model_validate({**dict(answer), field: value})
    except ValidationError:
        return None


def rule_of(answer: AnswerModel, field: str, title: Words, parse: Parse) -> Rule:
    """What a dialog for the field takes; `title` is what the person knows the field by."""

    def rule(text: str) -> Words | None:
        try:
            taken = changed(answer, field, parse(text)) is not None
        except ValueError:
            taken = False
        return None if taken else wrong_value(field, title, text)

    return rule


def wrong_value(field: str, title: Words, text: str) -> Words:
    """Why the text can be no value of the field."""
    words = JOBS_WORDS if field == "jobs" else WRONG_TEXTS[field]
    return replace(words, places={"key": title, "value": quoted(text)})


def text_or_none(text: str) -> str | None:
    """An empty text is no answer."""
    return text.strip() or None


def number_or_none(text: str) -> int | None:
    """A number in ASCII digits; an empty text is no answer. Raises ValueError."""
    stripped = text.strip()
    if stripped and not (stripped.isascii() and stripped.isdigit()):
        raise ValueError(text)
    return int(stripped) if stripped else None


def names(text: str) -> tuple[str, ...]:
    """Names with spaces between them."""
    return tuple(text.split())


def names_or_none(text: str) -> tuple[str, ...] | None:
    """Names with spaces between them; an empty text is no answer."""
    return names(text) or None
