"""Values with texts in them: looking at every text, and putting others in their places. Pure."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel

from kvmwizard.words import Words

Change = Callable[[str, str | None], str]
"""From a text and the field that it stands in; None for the name of a field itself."""


def texts_in(content: object, field: str | None = "") -> Iterator[tuple[str, str | None]]:
    """Every text with the field that it stands in; also those in JSON that is a text itself."""
    if isinstance(content, Enum):
        return
    if isinstance(content, str):
        nested = nested_json(content)
        yield from [(content, field)] if nested is None else texts_in(nested)
    elif isinstance(content, list | tuple):
        for member in content:
            yield from texts_in(member, field)
    else:
        for name, member in fields_of(content):
            yield name, None
            yield from texts_in(member, name)


def fields_of(content: object) -> list[tuple[str, Any]]:
    """The fields of a model, of an object, or the places of a sentence; none of anything else."""
    if isinstance(content, Words):
        return list(content.places.items())
    if isinstance(content, BaseModel):
        return [(name, getattr(content, name)) for name in type(content).model_fields]
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        return [(field.name, getattr(content, field.name)) for field in dataclasses.fields(content)]
    if isinstance(content, dict):
        return [(str(name), member) for name, member in content.items()]
    return []


def rebuilt(content: Any, change: Change, field: str | None = "") -> Any:
    """The value as plain JSON with every text changed; a sentence becomes English, its places changed."""
    if isinstance(content, Enum):
        return content.value
    if isinstance(content, str):
        nested = nested_json(content)
        return change(content, field) if nested is None else json.dumps(rebuilt(nested, change))
    if isinstance(content, Words):
        places = {name: rebuilt(place, change, name) for name, place in fields_of(content)}
        return Words(content.template, places, content.plural, content.count).english
    if isinstance(content, BaseModel | dict) or dataclasses.is_dataclass(content):
        return {change(name, None): rebuilt(member, change, name) for name, member in fields_of(content)}
    if isinstance(content, list | tuple):
        return [rebuilt(member, change, field) for member in content]
    return content


def nested_json(text: str) -> dict[str, Any] | list[Any] | None:
    """The object or list that a text is the JSON of, as the journal has them; None for every other text."""
    if not text.startswith(("{", "[")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None
