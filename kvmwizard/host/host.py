"""The only way to the machine's files and commands.

Every read of /proc, /sys, /etc, /boot and /dev goes through a `Host`, so a
recorded machine under `--root DIR` is read just like the live one.
"""

import errno
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kvmwizard.host.reading import FactModel, Unknown, UnknownReason

RECORDED_COMMANDS = ".kvmwizard/commands.json"
"""Under a recorded machine's root: what each command printed, by its words joined with spaces."""


class CommandOutput(FactModel):
    """What a command printed and how it ended."""

    returncode: int
    output: str
    """Standard output and standard error together, as text."""


class Host:
    """A machine to read: the live one at `/`, or a recorded one at another root."""

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root)
        self.live = self.root.resolve() == Path("/")

    def path(self, path: str) -> Path:
        """Where the machine's absolute `path` lies on this file system."""
        return self.root / path.lstrip("/")

    def read_bytes(self, path: str) -> bytes | None | Unknown:
        """The file's bytes; None where there is no such file."""
        try:
            return self.path(path).read_bytes()
        except OSError as error:
            return absent_or_unknown(error, path)

    def read_text(self, path: str) -> str | None | Unknown:
        """The file's text with undecodable bytes kept visible; None where there is no such file."""
        content = self.read_bytes(path)
        return content.decode(errors="backslashreplace") if isinstance(content, bytes) else content

    def list_directory(self, path: str) -> tuple[str, ...] | None | Unknown:
        """The sorted names in a directory; None where there is no such directory."""
        try:
            return tuple(sorted(os.listdir(self.path(path))))
        except OSError as error:
            return absent_or_unknown(error, path)

    def stat(self, path: str) -> os.stat_result | None | Unknown:
        """What the path leads to, links followed; None where there is nothing."""
        try:
            return self.path(path).stat()
        except OSError as error:
            return absent_or_unknown(error, path)

    def run(self, argv: Sequence[str], seconds: float = 5.0) -> CommandOutput | None | Unknown:
        """What a harmless, read-only command says; None where it is not installed.

        On a recorded machine the answer is looked up in `RECORDED_COMMANDS`.
        """
        if not self.live:
            return self._recorded(argv)
        try:
            process = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=command_environment(),
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Unknown(unknown=UnknownReason.TIMED_OUT, detail=" ".join(argv))
        except OSError as error:
            return absent_or_unknown(error, argv[0])
        output = process.stdout.decode(errors="backslashreplace")
        return CommandOutput(returncode=process.returncode, output=output)

    def _recorded(self, argv: Sequence[str]) -> CommandOutput | None | Unknown:
        recorded = self.read_text(RECORDED_COMMANDS)
        if not isinstance(recorded, str):
            return Unknown(unknown=UnknownReason.NOT_LIVE, detail=" ".join(argv))
        entry = json.loads(recorded).get(" ".join(argv))
        return None if entry is None else CommandOutput.model_validate(entry)


def command_environment() -> dict[str, str]:
    """A fixed search path and the C locale, so that output can be parsed anywhere."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def absent_or_unknown(error: OSError, path: str) -> None | Unknown:
    """None where the thing is simply not there, else why it could not be read."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return None
    detail = f"{path}: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unknown(unknown=UnknownReason.NOT_PERMITTED, detail=detail)
    return Unknown(unknown=UnknownReason.NOT_READABLE, detail=detail)
