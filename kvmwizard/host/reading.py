"""What reading one thing can give: a value, or why it is not known.

A thing that is not there is knowledge (False, None, an empty tuple). A thing
that could not be read is `Unknown`, which is never taken for False.
"""

from enum import StrEnum
from typing import TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict


class FactModel(BaseModel):
    """The base of every model that describes the machine: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class UnknownReason(StrEnum):
    """Why a thing is not known."""

    NOT_PERMITTED = "not-permitted"
    """The kernel refused us (EACCES, EPERM)."""
    NOT_READABLE = "not-readable"
    """Another error; `detail` names it."""
    NOT_LIVE = "not-live"
    """Only the running kernel can say, and this is a recorded machine."""
    NOT_SHOWN = "not-shown"
    """This machine has no place that says it: no such file, register or tool."""
    NOT_UNDERSTOOD = "not-understood"
    """It was read, but says nothing that we can parse; `detail` quotes it."""
    TIMED_OUT = "timed-out"
    """It did not answer in time."""


class Unknown(FactModel):
    """A thing that could not be learnt."""

    unknown: UnknownReason
    detail: str = ""
    """What was tried: a path, a command or the system's own error, in English."""


class CommandOutput(FactModel):
    """What a command printed and how it ended."""

    returncode: int
    output: str
    """Standard output and standard error together, as text."""


T = TypeVar("T")

Reading: TypeAlias = T | Unknown
"""A value, or why it is not known."""


def known(reading: T | Unknown, otherwise: T) -> T:
    """The value, or `otherwise` where it is not known; for places that must show something."""
    return otherwise if isinstance(reading, Unknown) else reading
