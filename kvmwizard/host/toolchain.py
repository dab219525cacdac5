"""The programs that builds need."""

from kvmwizard.host.host import Host, command_environment
from kvmwizard.host.qemu import read_version
from kvmwizard.host.reading import FactModel, Reading

TOOLS = {
    "gcc": ("gcc",),
    "make": ("make",),
    "ld": ("ld",),
    "python3": ("python3",),
    "git": ("git",),
    "flex": ("flex",),
    "bison": ("bison",),
    "ninja": ("ninja", "ninja-build"),
    "meson": ("meson",),
}
"""Each with the names it is installed under; EPEL 7 calls ninja `ninja-build`."""


class Tool(FactModel):
    """One program; `version` is the number it prints."""

    name: str
    path: str | None
    version: Reading[str] | None
    """None where the program is absent."""


class ToolchainFacts(FactModel):
    """gcc, make, ld, python3, git, flex, bison, ninja, meson, by name."""

    tools: dict[str, Tool]


def read_toolchain(host: Host) -> ToolchainFacts:
    """The programs on the fixed search path that commands run with, and their versions."""
    paths = {name: find_program(host, names) for name, names in TOOLS.items()}
    present = {name: path for name, path in paths.items() if path is not None}
    outputs = host.run_all([(path, "--version") for path in present.values()])
    versions = {
        name: read_version(output, path)
        for (name, path), output in zip(present.items(), outputs, strict=True)
    }
    return ToolchainFacts(
        tools={name: Tool(name=name, path=path, version=versions.get(name)) for name, path in paths.items()}
    )


def find_program(host: Host, names: tuple[str, ...]) -> str | None:
    """The first program of one of these names on the fixed search path."""
    directories = command_environment()["PATH"].split(":")
    candidates = (f"{directory}/{name}" for name in names for directory in directories)
    return next((path for path in candidates if host.is_program(path)), None)
