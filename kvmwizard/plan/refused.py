"""Why there is no plan."""

from kvmwizard.words import Words


class PlanRefused(Exception):  # noqa: N818  -- a refusal is an answer, not a fault
    """No plan can be made; `words` says what stands in the way and what to do next."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.english)
        self.words = words
