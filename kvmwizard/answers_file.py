"""Reading answers that a person wrote into a file, for a run without the wizard."""

import json
import os
import re
import select
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kvmwizard.answers import Answers
from kvmwizard.refusal import Refusal
from kvmwizard.text_rules import WRONG_TEXTS, quoted
from kvmwizard.words import Place, Words, say

LARGEST_FILE_BYTES = 1024 * 1024
BLOCK_BYTES = 64 * 1024
PIPE_SECONDS = 10.0
"""How long a pipe, as the shell's <(command) makes one, may be silent."""

WHOLE_FILE = "$"
"""How JSONPath (RFC 9535) names the outermost value."""

WRONG_KINDS = {
    "string_type": say("{key} is {value}, but must be text in quotation marks."),
    "bool_type": say("{key} is {value}, but must be true or false, without quotation marks."),
    "int_type": say("{key} is {value}, but must be a whole number, without quotation marks."),
    "tuple_type": say("{key} is {value}, but must be a list in square brackets."),
    "model_type": say("{key} is {value}, but must be an object in braces."),
    "dict_type": say("{key} is {value}, but must be an object in braces."),
    "union_tag_not_found": say("{key} is {value}, but must be an object that has a source."),
}
"""What to say for each of pydantic's error types; the places are filled by `_detail`."""


class AnswersFileRefused(Refusal):
    """A file that cannot be used as answers.

    `words` says which file and why; `details` names each key that is wrong.
    """

    def __init__(self, words: Words, details: tuple[Words, ...] = ()) -> None:
        super().__init__(words)
        self.details = details


class RepeatedKeyError(ValueError):
    """One object gives the same key twice, so that one of the two would be lost."""


def read_answers_file(path: Path) -> Answers:
    """The answers in a JSON file: one object with any of the pages of `Answers`.

    Raises AnswersFileRefused where there is no such file, it cannot be read or is
    no JSON, or has unknown keys or values of the wrong kind.
    """
    content = _content(path)
    try:
        json.loads(content, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise AnswersFileRefused(_not_json(path, error)) from error
    try:
        return Answers.model_validate_json(content, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        if errors[0]["type"] == "json_invalid":
            # Half a surrogate pair: Python's parser takes it, but it is no text.
            raise AnswersFileRefused(_not_json(path, error)) from error
        raise AnswersFileRefused(
            say("The answers in {path} cannot be used. Correct these, then try again:", path=str(path)),
            tuple(_detail(details) for details in errors),
        ) from error


def _content(path: Path) -> bytes:
    try:
        content = _read(path)
    except OSError as error:
        raise AnswersFileRefused(
            say(
                "The answers file {path} cannot be read: {error}.",
                path=str(path),
                error=error.strerror or str(error),
            )
        ) from error
    if len(content) > LARGEST_FILE_BYTES:
        raise AnswersFileRefused(
            say(
                "{path} is larger than {bytes} bytes, so it is no answers file.",
                path=str(path),
                bytes=LARGEST_FILE_BYTES,
            )
        )
    return content


def _read(path: Path) -> bytes:
    """As much as answers may take and one byte more. Raises OSError, AnswersFileRefused."""
    # Not blocking, since a named pipe that nobody writes to would be waited for without end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        content = b""
        while len(content) <= LARGEST_FILE_BYTES:
            if waits and not select.select([descriptor], [], [], PIPE_SECONDS)[0]:
                raise AnswersFileRefused(
                    say(
                        "Nothing came through {path} for {seconds} seconds. Write the answers into a plain "
                        "file, and name that.",
                        path=str(path),
                        seconds=round(PIPE_SECONDS),
                    )
                )
            block = os.read(descriptor, BLOCK_BYTES)
            if not block:
                break
            content += block
    finally:
        os.close(descriptor)
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _value in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise RepeatedKeyError(key)
    return dict(pairs)


def _not_json(path: Path, error: ValueError | RecursionError) -> Words:
    if isinstance(error, RepeatedKeyError):
        return say("{path} gives the key {key} twice. Keep one of them.", path=str(path), key=str(error))
    if isinstance(error, json.JSONDecodeError):
        return say(
            "{path} is not JSON: line {line}, column {column} cannot be understood ({problem}).",
            path=str(path),
            line=error.lineno,
            column=error.colno,
            problem=error.msg,
        )
    return say("{path} is not JSON that can be understood.", path=str(path))


def _detail(details: ErrorDetails) -> Words:
    """One sentence for one of pydantic's errors."""
    model, keys = _place(details["loc"])
    key = ".".join(keys)
    context = details.get("ctx", {})
    wrong = say("{key} is {value}, which is not allowed there.")
    match details["type"]:
        case "extra_forbidden":
            allowed = ", ".join(model.model_fields)
            return say("{key} is not known; known there are: {allowed}.", key=key, allowed=allowed)
        case "missing":
            return say("{key} is missing.", key=key)
        case "repeated":
            return say("{key} names something twice: {names}.", key=key, names=context["names"])
        case "literal_error":
            allowed = _listed(context["expected"])
            value = quoted(details["input"])
            return say(
                "{key} is {value}, but must be one of: {allowed}.", key=key, value=value, allowed=allowed
            )
        case "union_tag_invalid":
            allowed = _listed(context["expected_tags"])
            value = quoted(context["tag"])
            return say(
                "{key}.source is {value}, but must be one of: {allowed}.",
                key=key,
                value=value,
                allowed=allowed,
            )
        case "greater_than_equal" | "less_than_equal":
            wrong = say("{key} is {value}, but must be a number from 1 to 1024.")
        case "string_pattern_mismatch":
            wrong = next((WRONG_TEXTS[part] for part in reversed(keys) if part in WRONG_TEXTS), wrong)
        case kind:
            wrong = WRONG_KINDS.get(kind, wrong)
    places: dict[str, Place] = {"key": key or WHOLE_FILE, "value": quoted(details["input"])}
    return replace(wrong, places=places)


def _place(location: tuple[int | str, ...]) -> tuple[type[BaseModel], list[str]]:
    """The model that an error is in, and the keys that lead to it as the file has them."""
    model: type[BaseModel] = Answers
    choices: dict[int | str, type[BaseModel]] = {}
    keys: list[str] = []
    for part in location:
        if part in choices:
            # Pydantic names the chosen member of a union, which is no key of the file.
            model, choices = choices[part], {}
            continue
        keys.append(str(part + 1) if isinstance(part, int) else part)
        field = model.model_fields.get(str(part))
        members = [member for member in get_args(field.annotation) if _is_model(member)] if field else []
        choices = {member.model_fields["source"].default: member for member in members if len(members) > 1}
        model = members[0] if len(members) == 1 else model
    return model, keys


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _listed(expected: str) -> str:
    """Pydantic's "'a', 'b' or 'c'" as a plain list."""
    return ", ".join(re.findall(r"'([^']*)'", expected))
