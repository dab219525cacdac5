"""How every part says no: an exception that carries the sentence for the person."""

from kvmwizard.words import Words


class Refusal(Exception):  # noqa: N818  -- a refusal is an answer, not a fault
    """Something cannot be done."""

    def __init__(self, words: Words, code: str | None = None) -> None:
        """Keep what is said, and what is gone by.

        Args:
            words: what happened, why, and what to do next.
            code: where a program, too, decides by the reason, its name.
        """
        super().__init__(words.english)
        self.words = words
        self.code = code
