"""Why there is no plan."""

from kvmwizard.refusal import Refusal
from kvmwizard.words import Words


class PlanRefused(Refusal):
    """No plan can be made; `words` says what stands in the way and what to do next."""

    def __init__(self, words: Words, unsigned: str | None = None) -> None:
        """`unsigned` is the name of a file that nobody signs, where allowing it would make a plan."""
        super().__init__(words)
        self.unsigned = unsigned
