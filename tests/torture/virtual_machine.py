"""A whole computer: QEMU without KVM in a throwaway machine, reached over SSH, its console kept."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from tests.machine.machine import ThrowawayMachine

QEMU = "/usr/bin/qemu-system-x86_64"
FOLDER = "/srv/machine"
"""In the throwaway machine: disks, sockets, the console's text and the SSH key."""
KEY = f"{FOLDER}/key"
PROCESSOR = "qemu64,+svm,+npt,+rdrand"
"""QEMU emulates AMD's virtualization, so that this computer has a real /dev/kvm of its own."""
MEMORY_MEGABYTES = 1536
BOOT_SECONDS = 600
COMMAND_SECONDS = 120
LOGIN_SECONDS = 60
POLL_SECONDS = 0.2


class VirtualMachineError(AssertionError):
    """The computer did not do as it was waited for; carries the end of its console."""


@dataclass(frozen=True)
class DirectKernel:
    """What QEMU starts by itself, without the disk's boot loader: paths in the throwaway machine."""

    image: str
    initrd: str
    command_line: str


@dataclass(frozen=True)
class Answer:
    """What a command over SSH came to."""

    returncode: int
    output: str
    errors: str


class VirtualMachine:
    """One computer, from power on to power off."""

    def __init__(self, host: ThrowawayMachine, disks: Sequence[str], kernel: DirectKernel | None) -> None:
        """Switch it on. `disks` are QEMU's -drive values; the first is what it starts from."""
        self._host = host
        self._port = _free_port()
        self._boot_id = ""
        self.console_path = host.path(f"{FOLDER}/console")
        for old in ("console", "qmp"):
            host.path(f"{FOLDER}/{old}").unlink(missing_ok=True)
        argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-accel", "tcg,thread=multi", "-smp", "2", "-m", str(MEMORY_MEGABYTES), "-cpu", PROCESSOR]
        argv += ["-serial", f"file:{FOLDER}/console", "-qmp", f"unix:{FOLDER}/qmp,server=on,wait=off"]
        argv += ["-device", "virtio-rng-pci", "-device", "virtio-net-pci,netdev=net"]
        argv += ["-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self._port}-:22"]
        for disk in disks:
            argv += ["-drive", f"if=virtio,{disk}"]
        if kernel is not None:
            argv += ["-kernel", kernel.image, "-initrd", kernel.initrd, "-append", kernel.command_line]
        self._process = host.popen(argv)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def console(self) -> str:
        """All that it printed on its serial port since it was switched on."""
        try:
            return self.console_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def ssh(self, *words: str, user: str, terminal: bool = False) -> list[str]:
        """The command, in the throwaway machine, that logs in as the user and runs the words."""
        options = ["-q", "-i", KEY, "-p", str(self._port), "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
        options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        if terminal:
            options += ["-tt"]
        elif user == "root":
            # Each login takes the emulated processor seconds, so one serves all of ours.
            options += ["-o", "ControlMaster=auto", "-o", "ControlPersist=yes"]
            options += ["-o", f"ControlPath={FOLDER}/ssh-%p-{self._boot_id}"]
        return ["/usr/bin/ssh", *options, f"{user}@127.0.0.1", "--", shlex.join(words)]

    def run(
        self, *words: str, user: str = "root", text: str | None = None, seconds: float = COMMAND_SECONDS
    ) -> Answer:
        """Run a command over SSH to its end, with `text` on its standard input."""
        ended = self._host.run(self.ssh(*words, user=user), input=text, timeout=seconds)
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    def do(
        self, *words: str, user: str = "root", text: str | None = None, seconds: float = COMMAND_SECONDS
    ) -> str:
        """As `run`, for what must succeed; its standard output. Raises VirtualMachineError."""
        answer = self.run(*words, user=user, text=text, seconds=seconds)
        if answer.returncode != 0:
            raise VirtualMachineError(
                f"{words} returned {answer.returncode}\n{answer.output}\n{answer.errors}"
            )
        return answer.output

    def wait_for_start(self) -> None:
        """Wait until it answers over SSH in another start than the last that was waited for."""
        self._wait_until(self._has_started, "an answer over SSH", BOOT_SECONDS)

    def _has_started(self) -> bool:
        # A connection of the last start is not used any more: it would be waited for in vain.
        known, self._boot_id = self._boot_id, "none"
        try:
            answer = self.run("cat", "/proc/sys/kernel/random/boot_id", user="alice", seconds=LOGIN_SECONDS)
        except subprocess.TimeoutExpired:
            answer = Answer(1, "", "")
        found = answer.output.strip()
        self._boot_id = found or known
        return found not in {"", known}

    def wait_for_console(self, text: str, seconds: float = BOOT_SECONDS) -> None:
        """Wait until it printed the text on its serial port."""
        self._wait_until(lambda: text in self.console, repr(text), seconds)

    def _wait_until(self, reached: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if self._process.poll() is not None:
                raise VirtualMachineError(f"it is off: {self._errors()}\n{self.console[-3000:]}")
            if time.monotonic() > deadline:
                raise VirtualMachineError(f"{what} did not come in {seconds} s:\n{self.console[-3000:]}")
            time.sleep(POLL_SECONDS)

    def set_clock(self, time: str) -> None:
        """Set the time of day, as `+10 years` (date(1), --set)."""
        self.do("date", "--set", time)

    def begin_restart(self) -> None:
        """Have it restart as whoever administers it does."""
        self.run("systemctl", "reboot")

    def restart(self) -> None:
        """Have it restart, and wait until it answers again."""
        self.begin_restart()
        self.wait_for_start()

    def press_reset(self) -> None:
        """The button on its front."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._host.path(f"{FOLDER}/qmp")))
            with control.makefile("rw", encoding="utf-8") as stream:
                stream.readline()
                for command in ("qmp_capabilities", "system_reset"):
                    ask(stream, command)

    def wait_for_end(self, seconds: float = BOOT_SECONDS) -> None:
        """Wait until it has switched itself off."""
        if self._process.wait(seconds) != 0:
            raise VirtualMachineError(self._errors())

    def kill(self) -> None:
        """Pull the plug, where that was not done."""
        # What was started is nsenter(1), of which QEMU is a child.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _errors(self) -> str:
        return self._process.stderr.read() if self._process.stderr is not None else ""


def ask(stream: IO[str], command: str, **arguments: object) -> dict[str, Any]:
    """One QMP command and its answer; events in between are passed over. Raises VirtualMachineError."""
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    while "return" not in (answer := json.loads(stream.readline())):
        if "error" in answer:
            raise VirtualMachineError(str(answer))
    returned: dict[str, Any] = answer["return"]
    return returned


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def path_of(machine: ThrowawayMachine, name: str) -> Path:
    """A file of FOLDER as seen from outside."""
    return machine.path(f"{FOLDER}/{name}")
