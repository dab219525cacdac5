"""What describes a recorded machine beside its files.

Devices, permissions and what commands print cannot lie in a directory tree, so
a recorded machine carries them in two files under its root: `MACHINE_FILE` and
`COMMANDS_FILE`.
"""

from typing import Literal

from pydantic import TypeAdapter, ValidationError

from kvmwizard.host.reading import CommandOutput, FactModel
from kvmwizard.refusal import Refusal
from kvmwizard.words import say

MACHINE_FILE = ".kvmwizard/machine.json"
"""Under a recorded machine's root: a `RecordedMachine`."""
COMMANDS_FILE = ".kvmwizard/commands.json"
"""Under a recorded machine's root: a `CommandOutput` by the command's words joined with spaces."""


class HostRefused(Refusal):
    """A root that no machine can be read from; `words` says why and what to do."""


class RecordedAclEntry(FactModel):
    """One named entry of a recorded device's access control list, after the mask."""

    kind: Literal["user", "group"]
    id: int
    permissions: str


class RecordedDevice(FactModel):
    """A device node of a recorded machine."""

    mode: int
    """The permission bits as a decimal number: 432 is 0660."""
    owner_id: int
    group_id: int
    acl: tuple[RecordedAclEntry, ...] = ()


class RecordedMachine(FactModel):
    """What no file of the tree says; all of it may be left out."""

    architecture: str | None = None
    """As `uname -m`; where it is left out it is told from /proc."""
    host_name: str | None = None
    caller: str | None = None
    """Who recorded it."""
    groups: tuple[int, ...] | None = None
    """The group ids that the caller's processes really had."""
    sudo_caller: str | None = None
    devices: dict[str, RecordedDevice] | None = None
    """Every device that was there, by its path; None where devices were not recorded."""


def parse_machine(content: bytes | None) -> RecordedMachine:
    """The description in `MACHINE_FILE`; an empty one where there is no such file.

    Raises:
        HostRefused: if it does not parse.
    """
    if content is None:
        return RecordedMachine()
    try:
        return RecordedMachine.model_validate_json(content)
    except ValidationError as error:
        raise _refused(MACHINE_FILE, error) from error


def parse_commands(content: bytes | None) -> dict[str, CommandOutput] | None:
    """The answers in `COMMANDS_FILE`; None where no commands were recorded.

    Raises:
        HostRefused: if they do not parse.
    """
    if content is None:
        return None
    try:
        return TypeAdapter(dict[str, CommandOutput]).validate_json(content)
    except ValidationError as error:
        raise _refused(COMMANDS_FILE, error) from error


def _refused(name: str, error: ValidationError) -> HostRefused:
    first = error.errors()[0]
    return HostRefused(
        say(
            "{name} of the recorded machine is not as it should be, at {place}: {problem}."
            " Record the machine again.",
            name=name,
            place=".".join(str(part) for part in first["loc"]) or "the beginning",
            problem=first["msg"],
        )
    )
