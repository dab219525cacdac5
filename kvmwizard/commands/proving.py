"""Showing a proof, and what it is waiting for, to a person at a terminal."""

import sys

from kvmwizard.commands.output import colour, complain, show, width
from kvmwizard.proof.model import Proof
from kvmwizard.proof.text import proof_as_text
from kvmwizard.words import Words


def show_proof(proof: Proof) -> None:
    """Print a proof for people."""
    show(proof_as_text(proof, width(), colour()))


class Progress:
    """Tells a person at a terminal, on standard error, what is being waited for: each sentence once."""

    def __init__(self) -> None:
        self._told = ""

    def tell(self, words: Words) -> None:
        """Print the words, unless they are what was printed last or nobody watches."""
        if sys.stderr.isatty() and words.template != self._told:
            complain(words)
            self._told = words.template
