"""The small guest whose power is cut: started once, kept as it waits, gone on with from there."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any, Self

from tests.machine.layers import PROGRAM_FOLDER, PROGRAM_PYTHON
from tests.machine.machine import ThrowawayMachine
from tests.torture.machine_disk import DISK, PROGRAM_LABEL
from tests.torture.machine_kernels import MachineKernels
from tests.torture.virtual_machine import FOLDER, QEMU, VirtualMachineError, ask, path_of
from tests.torture.volatile_disk import VolatileDisk

AGENT = Path(__file__).with_name("power_agent.py")
PROGRAM_DISK = f"{FOLDER}/program.img"
PROGRAM_DISK_SIZE = "300M"
KERNEL, SOCKET, CONTROL, STATE = (f"{FOLDER}/{name}" for name in ("bzImage", "disk", "control", "state"))
DATA_BYTES = 64 * 2**20
MEMORY_MEGABYTES = 384
START_SECONDS = 180
COMMAND_LINE = (
    "root=/dev/vda1 ro console=ttyS0 quiet mitigations=off panic=-1 init=/bin/sh -- "
    f'-c "mount -o ro /dev/vdb {PROGRAM_FOLDER} && exec {PROGRAM_PYTHON} {PROGRAM_FOLDER}/{AGENT.name}"'
)


def prepare(machine: ThrowawayMachine, kernels: MachineKernels, given: Path) -> bytes:
    """The program's disk, the kernel, and the guest as it waits for what to do; the empty disk of its own."""
    path_of(machine, "bzImage").write_bytes(kernels.good.read_bytes())
    program = machine.path(PROGRAM_FOLDER)
    shutil.copy(AGENT, program / AGENT.name)
    shutil.copytree(given, program / "given")
    machine.do(["chmod", "-R", "a+rX", f"{PROGRAM_FOLDER}/given"])
    make_file_system(machine, PROGRAM_DISK, PROGRAM_DISK_SIZE, PROGRAM_FOLDER)
    make_file_system(machine, f"{FOLDER}/data.img", str(DATA_BYTES))
    empty = path_of(machine, "data.img").read_bytes()
    with PoweredGuest(machine, VolatileDisk(empty, path_of(machine, "disk"))) as guest:
        guest.hear("ready", START_SECONDS)
        guest.keep(STATE)
    return empty


def make_file_system(machine: ThrowawayMachine, image: str, size: str, folder: str | None = None) -> None:
    """An ext4 file system in a file, holding what the folder holds."""
    machine.path(image).unlink(missing_ok=True)
    held = [] if folder is None else ["-d", folder]
    with machine.path(image).open("wb") as file:
        file.truncate(int(size.removesuffix("M")) * (2**20 if size.endswith("M") else 1))
    machine.do(["mke2fs", "-q", "-t", "ext4", "-F", "-L", PROGRAM_LABEL, *held, image], timeout=300)


class PoweredGuest:
    """The guest on one disk, until its power is cut."""

    def __init__(self, machine: ThrowawayMachine, disk: VolatileDisk, *, kept: bool = False) -> None:
        """Start it, or go on with it as it was kept."""
        self._machine = machine
        self.disk = disk
        self._heard = b""
        path_of(machine, "control").unlink(missing_ok=True)
        argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        argv += ["-accel", "tcg", "-cpu", "qemu64,+rdrand", "-m", str(MEMORY_MEGABYTES)]
        argv += ["-serial", f"file:{FOLDER}/console", "-serial", "stdio"]
        argv += ["-qmp", f"unix:{CONTROL},server=on,wait=off"]
        argv += ["-drive", f"if=virtio,file={DISK},format=qcow2,readonly=on"]
        argv += ["-drive", f"if=virtio,file={PROGRAM_DISK},format=raw,readonly=on"]
        argv += ["-drive", f"if=virtio,file=nbd+unix:///?socket={SOCKET},format=raw,cache=writeback"]
        argv += ["-incoming", f"exec:cat {STATE}"] if kept else ["-kernel", KERNEL, "-append", COMMAND_LINE]
        read, self._write = os.pipe()
        self._process = machine.popen(argv, stdin=read)
        os.close(read)
        if kept:
            self._go_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.disk.close()

    def tell(self, **content: object) -> None:
        """One line for the agent."""
        os.write(self._write, json.dumps(content).encode("ascii") + b"\n")

    def hear(self, key: str, seconds: float) -> dict[str, Any]:
        """Wait for the agent's line with that key. Raises VirtualMachineError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.listen(1.0):
                if key in line:
                    return line
            if self._process.poll() is not None:
                break
        console = path_of(self._machine, "console").read_text(errors="replace")
        raise VirtualMachineError(f"it did not say {key}: {self._errors()}\n{console[-3000:]}")

    def listen(self, seconds: float) -> list[dict[str, Any]]:
        """The lines that came in that time; sooner where it ended. Raises VirtualMachineError."""
        stream = self._process.stdout
        assert stream is not None
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and select.select([stream], [], [], left)[0]:
            said = os.read(stream.fileno(), 65536)
            if not said:
                break
            self._heard += said
            if b"\n" in said:
                break
        *lines, self._heard = self._heard.split(b"\n")
        parsed: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for line in parsed:
            if "failed" in line:
                raise VirtualMachineError(line["failed"])
        return parsed

    def kill(self) -> list[dict[str, Any]]:
        """SIGKILL for QEMU, and the lines that had left it before."""
        # What was started is nsenter(1), of which QEMU is a child.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        lines: list[dict[str, Any]] = []
        while came := self.listen(0.2):
            lines += came
        with contextlib.suppress(OSError):
            os.close(self._write)
        return lines

    def keep(self, path: str) -> None:
        """Write the whole guest to a file, and end it."""
        with self._control() as stream:
            ask(stream, "stop")
            ask(stream, "migrate", uri=f"exec:cat > {path}")
            deadline = time.monotonic() + START_SECONDS
            while (state := ask(stream, "query-migrate"))["status"] != "completed":
                if state["status"] == "failed" or time.monotonic() > deadline:
                    raise VirtualMachineError(str(state))
                time.sleep(0.1)

    def _go_on(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        with self._control() as stream:
            while ask(stream, "query-status")["status"] == "inmigrate":
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise VirtualMachineError(self._errors())
                time.sleep(0.05)
            ask(stream, "cont")

    @contextlib.contextmanager
    def _control(self) -> Any:
        path, deadline = path_of(self._machine, "control"), time.monotonic() + START_SECONDS
        with socket.socket(socket.AF_UNIX) as control:
            while True:
                try:
                    control.connect(str(path))
                    break
                except OSError:
                    if time.monotonic() > deadline or self._process.poll() is not None:
                        raise VirtualMachineError(self._errors()) from None
                    time.sleep(0.05)
            with control.makefile("rw", encoding="utf-8") as stream:
                stream.readline()
                ask(stream, "qmp_capabilities")
                yield stream

    def _errors(self) -> str:
        self.kill()
        return self._process.stderr.read() if self._process.stderr is not None else ""
