"""Why a run cannot be made, read, started or undone."""

from kvmwizard.refusal import Refusal


class RunRefused(Refusal):
    """`words` says what happened, why, and what to do next."""
