"""Why a run cannot be made, read, started or undone."""

from kvmwizard.words import Words


class RunRefused(Exception):  # noqa: N818  -- a refusal is an answer, not a fault
    """`words` says what happened, why, and what to do next."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.english)
        self.words = words
