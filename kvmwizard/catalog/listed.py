"""A version as a server lists it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Listed:
    """A version that a server lists, and what it says of it."""

    version: str
    released: str | None = None
    moniker: str | None = None
    """Of kernel.org's releases.json: mainline, stable or longterm; None for what is merely in a directory."""
    ended: bool = False
    """releases.json says that its line has come to its end of life."""
