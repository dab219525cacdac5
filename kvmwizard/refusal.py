"""How every part says no: an exception that carries the sentence for the person."""

from kvmwizard.words import Words


class Refusal(Exception):  # noqa: N818  -- a refusal is an answer, not a fault
    """Something cannot be done; `words` says what happened, why, and what to do next."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.english)
        self.words = words
