"""The only way to the machine's files and commands.

Every read of /proc, /sys, /etc, /boot and /dev goes through a `Host`, so a
recorded machine under `--root DIR` is read just like the live one.
"""

import errno
import os
import stat
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from kvmwizard.host.reading import CommandOutput, Reading, Unknown, UnknownReason
from kvmwizard.host.recording import (
    COMMANDS_FILE,
    MACHINE_FILE,
    HostRefused,
    RecordedMachine,
    parse_commands,
    parse_machine,
)
from kvmwizard.job import FIXED_ENVIRONMENT
from kvmwizard.words import say

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes read of any one file; a recorded machine may hold anything."""
MOST_LINKS = 40
"""Symbolic links followed in one path, as path_resolution(7) limits them."""
MOST_COMMANDS = 16
"""Commands that run at the same time."""
KERNEL_LOG_DEVICE = "/dev/kmsg"
KERNEL_LOG_RECORD = 8192
"""Bytes that hold any record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg)."""


class Host:
    """A machine to read: the live one at `/`, or a recorded one at another root.

    Raises:
        HostRefused: if the root is no readable directory, or what describes the
            recorded machine does not parse.
    """

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root)
        _refuse_unreadable(self.root)
        self.live = self.root.resolve() == Path("/")
        self.machine = RecordedMachine()
        """What describes a recorded machine beside its files; empty on the live one."""
        self._commands: dict[str, CommandOutput] | None = None
        if not self.live:
            self.machine = parse_machine(self._description(MACHINE_FILE))
            self._commands = parse_commands(self._description(COMMANDS_FILE))

    def path(self, path: str) -> Path:
        """Where the machine's absolute `path` lies on this file system.

        On a recorded machine every link on the way is followed inside its root,
        so that no link of its leads to the live machine.

        Raises:
            OSError: ELOOP, where links lead in a circle.
        """
        return Path(path) if self.live else self._inside(path)

    def read_bytes(self, path: str) -> bytes | Unknown | None:
        """The file's bytes, at most `LARGEST_FILE`; None where there is no such file."""
        try:
            return self._read(path)
        except (OSError, ValueError) as error:
            return absent_or_unknown(error, path)

    def read_text(self, path: str) -> str | Unknown | None:
        """The file's text with undecodable bytes kept visible; None where there is no such file."""
        content = self.read_bytes(path)
        return content.decode(errors="backslashreplace") if isinstance(content, bytes) else content

    def read_word(self, path: str) -> Reading[str]:
        """The file's text without the space around it; an absent file is `NOT_SHOWN`."""
        text = self.read_text(path)
        if text is None:
            return Unknown(unknown=UnknownReason.NOT_SHOWN, detail=path)
        return text.strip() if isinstance(text, str) else text

    def list_directory(self, path: str) -> tuple[str, ...] | Unknown | None:
        """The sorted names in a directory; None where there is no such directory."""
        try:
            names = os.listdir(self.path(path))  # noqa: PTH208  -- names alone; /usr/bin holds thousands
            return tuple(sorted(names))
        except (OSError, ValueError) as error:
            return absent_or_unknown(error, path)

    def stat(self, path: str) -> os.stat_result | Unknown | None:
        """What the path leads to, links followed; None where there is nothing."""
        try:
            return self.path(path).stat()
        except (OSError, ValueError) as error:
            return absent_or_unknown(error, path)

    def exists(self, path: str) -> bool | Unknown:
        """Whether there is anything at the path."""
        found = self.stat(path)
        return found if isinstance(found, Unknown) else found is not None

    def is_program(self, path: str) -> bool:
        """Whether the path is a regular file that somebody may execute."""
        found = self.stat(path)
        return (
            isinstance(found, os.stat_result) and stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o111)
        )

    def real_path(self, path: str) -> str:
        """The machine's own name for what the path leads to, every link followed."""
        try:
            if self.live:
                return os.path.realpath(path)
            return "/" + str(self._inside(path).relative_to(self.root))
        except (OSError, ValueError):
            return path

    def read_link(self, path: str) -> str | Unknown | None:
        """What a symbolic link says, not followed; None where there is no such link."""
        try:
            parent, _, name = path.rpartition("/")
            return str((self.path(parent or "/") / name).readlink())
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EINVAL:
                return None
            return absent_or_unknown(error, path)

    def read_at(self, path: str, offset: int, size: int) -> bytes | Unknown | None:
        """Bytes at an offset of a device file, on the live machine alone."""
        if not self.live:
            return Unknown(unknown=UnknownReason.NOT_LIVE, detail=path)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            return absent_or_unknown(error, path)

    def kernel_log_records(self) -> Reading[tuple[str, ...]]:
        """The messages in the kernel's own buffer, oldest first, on the live machine alone.

        Source: Documentation/ABI/testing/dev-kmsg: each read gives one record,
        `priority,sequence,microseconds,flags;message`, then lines of properties.
        """
        if not self.live:
            return Unknown(unknown=UnknownReason.NOT_LIVE, detail=KERNEL_LOG_DEVICE)
        try:
            descriptor = os.open(KERNEL_LOG_DEVICE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            unknown = absent_or_unknown(error, KERNEL_LOG_DEVICE)
            return unknown or Unknown(unknown=UnknownReason.NOT_SHOWN, detail=KERNEL_LOG_DEVICE)
        try:
            return tuple(_kernel_messages(descriptor))
        finally:
            os.close(descriptor)

    def run(self, argv: Sequence[str], seconds: float = 5.0) -> CommandOutput | Unknown | None:
        """What a harmless, read-only command says; None where it is not installed.

        On a recorded machine the answer is looked up in what was recorded.
        """
        return self.run_all([argv], seconds)[0]

    def run_all(
        self, commands: Iterable[Sequence[str]], seconds: float = 5.0
    ) -> list[CommandOutput | Unknown | None]:
        """What several such commands say, run at the same time; at most `seconds` for each batch."""
        todo = list(commands)
        if not self.live:
            return [self._recorded(argv) for argv in todo]
        answers: list[CommandOutput | Unknown | None] = []
        for first in range(0, len(todo), MOST_COMMANDS):
            batch = todo[first : first + MOST_COMMANDS]
            deadline = time.monotonic() + seconds
            started = [_start(argv) for argv in batch]
            answers += [
                _finish(process, argv, deadline) if isinstance(process, subprocess.Popen) else process
                for process, argv in zip(started, batch, strict=True)
            ]
        return answers

    def _read(self, path: str) -> bytes:
        # Non-blocking, because a recorded machine may hold a FIFO where a file belongs.
        descriptor = os.open(self.path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            parts = []
            size = 0
            while size < LARGEST_FILE and (part := os.read(descriptor, 1024 * 1024)):
                parts.append(part)
                size += len(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def _inside(self, path: str) -> Path:
        waiting = path.split("/")[::-1]
        reached: list[str] = []
        links = 0
        while waiting:
            name = waiting.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del reached[-1:]
                continue
            try:
                target = str(self.root.joinpath(*reached, name).readlink())
            except OSError:  # no link: a file, a directory, or nothing at all
                reached.append(name)
                continue
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                reached.clear()
            waiting += target.split("/")[::-1]
        return self.root.joinpath(*reached)

    def _description(self, name: str) -> bytes | None:
        content = self.read_bytes("/" + name)
        if isinstance(content, Unknown):
            raise HostRefused(say("The recorded machine is not readable: {detail}.", detail=content.detail))
        return content

    def _recorded(self, argv: Sequence[str]) -> CommandOutput | Unknown | None:
        words = " ".join(argv)
        if self._commands is None:
            return Unknown(unknown=UnknownReason.NOT_LIVE, detail=words)
        return self._commands.get(words)


def _refuse_unreadable(root: Path) -> None:
    try:
        next(root.iterdir(), None)
    except FileNotFoundError as error:
        raise HostRefused(
            say(
                "There is no directory {path}. Give the root directory of a recorded machine.", path=str(root)
            )
        ) from error
    except NotADirectoryError as error:
        raise HostRefused(
            say("{path} is not a directory. Give the root directory of a recorded machine.", path=str(root))
        ) from error
    except OSError as error:
        raise HostRefused(
            say(
                "{path} cannot be read: {problem}. Give a directory that you may read.",
                path=str(root),
                problem=error.strerror or str(error),
            )
        ) from error


def _kernel_messages(descriptor: int) -> Iterable[str]:
    while True:
        try:
            record = os.read(descriptor, KERNEL_LOG_RECORD)
        except BrokenPipeError:  # this record was overwritten while we read; the next is there
            continue
        except OSError:  # EAGAIN: the end of the log
            return
        first = record.partition(b"\n")[0]
        yield first.partition(b";")[2].decode(errors="backslashreplace")


def _start(argv: Sequence[str]) -> "subprocess.Popen[bytes] | Unknown | None":
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=command_environment(),
        )
    except OSError as error:
        return absent_or_unknown(error, argv[0])


def _finish(
    process: "subprocess.Popen[bytes]", argv: Sequence[str], deadline: float
) -> CommandOutput | Unknown:
    with process:
        try:
            output, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            return Unknown(unknown=UnknownReason.TIMED_OUT, detail=" ".join(argv))
    return CommandOutput(returncode=process.returncode, output=output.decode(errors="backslashreplace"))


def command_environment() -> dict[str, str]:
    """A fixed search path and the C locale, so that output can be parsed anywhere."""
    return dict(FIXED_ENVIRONMENT)


def absent_or_unknown(error: OSError | ValueError, path: str) -> Unknown | None:
    """None where the thing is simply not there, else why it could not be read."""
    if not isinstance(error, OSError):  # a name that no file can have, with a NUL in it
        return None
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return None
    detail = f"{path}: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unknown(unknown=UnknownReason.NOT_PERMITTED, detail=detail)
    return Unknown(unknown=UnknownReason.NOT_READABLE, detail=detail)
