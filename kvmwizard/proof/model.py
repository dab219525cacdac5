"""What a proof says: its levels, each with what was found, and the verdict over them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from kvmwizard.checks.results import Outcome
from kvmwizard.words import Words

LevelId = Literal["kernel", "tiny-guest", "qemu-without-kvm", "qemu-with-kvm", "query-kvm"]


class ProofModel(BaseModel):
    """The base of everything in a proof: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProofLevel(ProofModel):
    """One thing that was tried."""

    id: LevelId
    """Stable and documented in the README."""
    title: Words
    outcome: Outcome
    found: Words
    seconds: float | None = None
    """How long it took; None where it was not tried."""
    remedy: Words | None = None
    """What to do; None where nothing needs doing."""


class Proof(ProofModel):
    """All levels, in the order they were tried."""

    user: str
    """Whom the guests ran as."""
    qemu: str | None
    levels: tuple[ProofLevel, ...]
    good: bool
    """Guests run now: no level that needs KVM is short of a pass, unless it does not apply here."""
    verdict: Words
    command_line: tuple[str, ...]
    """How to start a guest with this QEMU; empty where there is no QEMU."""

    def level(self, level_id: LevelId) -> ProofLevel | None:
        """The level of that id; None where it was not part of this proof."""
        return next((level for level in self.levels if level.id == level_id), None)
