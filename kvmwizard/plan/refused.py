"""Why there is no plan."""

from kvmwizard.refusal import Refusal


class PlanRefused(Refusal):
    """No plan can be made; `words` says what stands in the way and what to do next."""
