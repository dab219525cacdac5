"""A version as a server lists it."""

from typing import NamedTuple


class Listed(NamedTuple):
    """A version that a server lists, and what it says of it.

    A tuple, since a list holds thousands, and a frozen dataclass takes four times as long to make.
    """

    version: str
    released: str | None = None
    moniker: str | None = None
    """Of kernel.org's releases.json: mainline, stable or longterm; None for what is merely in a directory."""
    ended: bool = False
    """releases.json says that its line has come to its end of life."""
