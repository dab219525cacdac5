"""The programs that builds need."""

from kvmwizard.host.reading import FactModel, Reading


class Tool(FactModel):
    """One program; `version` is the number it prints."""

    name: str
    path: str | None
    version: Reading[str] | None
    """None where the program is absent."""


class ToolchainFacts(FactModel):
    """gcc, make, ld, python3, git, flex, bison, ninja, meson, by name."""

    tools: dict[str, Tool]
