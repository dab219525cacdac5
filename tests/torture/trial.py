"""What was tried and what was amiss, counted: a failure does not end the counting."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

LONGEST = 600
"""Characters of one failure: the first few are read, not thousands."""


@dataclass
class Trial:
    """Many tries of the same; whoever tries says at the end what was amiss."""

    tried: int = 0
    amiss: list[str] = field(default_factory=list)
    """What each try that failed was of, and why it did."""

    @contextlib.contextmanager
    def of(self, case: object) -> Iterator[None]:
        """One try, which fails by any exception."""
        self.tried += 1
        try:
            yield
        except Exception as error:  # noqa: BLE001  -- whatever it is, it is counted and told
            self.amiss.append(f"{case}: {error!r}"[:LONGEST])

    @property
    def figures(self) -> dict[str, int]:
        """For the line of counts."""
        return {"tried": self.tried, "amiss": len(self.amiss)}
