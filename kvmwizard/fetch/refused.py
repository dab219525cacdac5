"""How getting something says no."""

from kvmwizard.refusal import Refusal
from kvmwizard.words import Words

UNPROVEN = "unproven"
"""The code of the refusal that a person can overrule: nothing shows that this is what was published."""


class FetchRefused(Refusal):
    """Something could not be fetched, verified or unpacked; `words` says why and what to do next."""


class AnswerRefused(FetchRefused):
    """A server's answer is of no use."""

    def __init__(self, words: Words, status: int | None = None, *, passing: bool = False) -> None:
        """Keep what the caller decides by.

        Args:
            words: what happened, and what to do.
            status: HTTP's, where the server gave one: 404 says that it has no such file.
            passing: whether the same question may be answered a little later.
        """
        super().__init__(words)
        self.status = status
        self.passing = passing
