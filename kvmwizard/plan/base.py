"""What every model of a plan is."""

from pydantic import BaseModel, ConfigDict


class PlanModel(BaseModel):
    """The base of everything in a plan: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
