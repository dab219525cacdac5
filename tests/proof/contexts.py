"""What the levels of a proof are given, for tests."""

import threading
from dataclasses import dataclass, field

from kvmwizard.proof.context import ProofContext, proof_context
from kvmwizard.words import Words


@dataclass
class Watched:
    """A proof's progress, and the means to stop it."""

    said: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def context(self, user: str | None = None) -> ProofContext:
        return proof_context(user, self.hear, self.cancelled)

    def hear(self, words: Words) -> None:
        self.said.append(words.english)
