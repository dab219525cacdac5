"""What a list shows: entries, each a line with its own explanation."""

from dataclasses import dataclass, field
from enum import StrEnum

from screens.terminal import Signs


class Sign(StrEnum):
    """The mark before an entry."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"
    WAITING = "waiting"
    RUNNING = "running"
    CHOSEN = "chosen"
    UNCHOSEN = "unchosen"
    TICKED = "ticked"
    UNTICKED = "unticked"
    NONE = "none"

    def text(self, signs: Signs) -> str:
        """The mark in the terminal's signs."""
        return "" if self is Sign.NONE else str(getattr(signs, self.value.replace("-", "_")))


@dataclass(frozen=True)
class Part:
    """A labelled piece of an explanation, as Found, Why or To do."""

    label: str
    text: str


@dataclass(frozen=True)
class Entry:
    """One line of a list; texts are in the reader's language already."""

    id: str
    sign: Sign
    title: str
    detail: str = ""
    aside: str = ""
    """Short, at the right edge."""
    explanation: tuple[Part, ...] = field(default=())
    whole: bool = False
    """The title takes the whole line, and bears no part in the columns' widths."""
