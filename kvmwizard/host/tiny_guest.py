"""Runs a guest of a few instructions through /dev/kvm and prints what came of it.

A program of its own, of the standard library alone, so that it can be handed to
any Python as any user: `python3 -I -S tiny_guest.py`, or its text on the
standard input of `python3 -I -S -`. Prints one JSON object:

    {"ran": true, "instructions": 8, "exits": 4, "output": "KVM", "milliseconds": 1.9, "problem": null}

and ends with 0 if the guest ran as it should, else with 1. `problem` says in
English what went wrong. Numbers and layouts are those of linux/kvm.h for
x86-64; their meaning is told in the kernel's Documentation/virt/kvm/api.rst.
"""

from __future__ import annotations

import array
import fcntl
import mmap
import os
import signal
import struct
import sys
import time

DEVICE = "/dev/kvm"
SECONDS = 10
API_VERSION = 12

# _IO(0xAE, n), _IOR and _IOW of linux/kvm.h.
KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
KVM_CHECK_EXTENSION = 0xAE03
KVM_GET_VCPU_MMAP_SIZE = 0xAE04
KVM_CREATE_VCPU = 0xAE41
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_SET_TSS_ADDR = 0xAE47
KVM_RUN = 0xAE80
KVM_SET_REGS = 0x4090AE82
KVM_GET_SREGS = 0x8138AE83
KVM_SET_SREGS = 0x4138AE84

IOCTL_NAMES = {value: name for name, value in list(globals().items()) if name.startswith("KVM_")}

KVM_CAP_SET_TSS_ADDR = 4

KVM_EXIT_IO = 2
KVM_EXIT_HLT = 5
KVM_EXIT_FAIL_ENTRY = 9
KVM_EXIT_INTERNAL_ERROR = 17
KVM_EXIT_IO_OUT = 1
EXIT_NAMES = {
    0: "KVM_EXIT_UNKNOWN",
    1: "KVM_EXIT_EXCEPTION",
    2: "KVM_EXIT_IO",
    3: "KVM_EXIT_HYPERCALL",
    4: "KVM_EXIT_DEBUG",
    5: "KVM_EXIT_HLT",
    6: "KVM_EXIT_MMIO",
    7: "KVM_EXIT_IRQ_WINDOW_OPEN",
    8: "KVM_EXIT_SHUTDOWN",
    9: "KVM_EXIT_FAIL_ENTRY",
    10: "KVM_EXIT_INTR",
    16: "KVM_EXIT_NMI",
    17: "KVM_EXIT_INTERNAL_ERROR",
    24: "KVM_EXIT_SYSTEM_EVENT",
}
INTERNAL_ERROR_NAMES = {
    1: "KVM_INTERNAL_ERROR_EMULATION",
    2: "KVM_INTERNAL_ERROR_SIMUL_EX",
    3: "KVM_INTERNAL_ERROR_DELIVERY_EV",
    4: "KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON",
}

# struct kvm_userspace_memory_region: slot, flags, guest_phys_addr, memory_size, userspace_addr.
MEMORY_REGION = struct.Struct("=IIQQQ")
# struct kvm_regs: rax rbx rcx rdx rsi rdi rsp rbp r8 … r15 rip rflags.
REGISTERS = struct.Struct("=18Q")
RAX, RBX, RIP, RFLAGS = 0, 1, 16, 17
# struct kvm_sregs: 312 bytes; it begins with the code segment, struct kvm_segment.
SPECIAL_REGISTERS_SIZE = 312
CODE_SEGMENT_BASE = struct.Struct("=Q")
CODE_SEGMENT_BASE_OFFSET = 0
CODE_SEGMENT_SELECTOR = struct.Struct("=H")
CODE_SEGMENT_SELECTOR_OFFSET = 12
# struct kvm_run, shared with the kernel: exit_reason, then a union whose members begin at 32.
EXIT_REASON = struct.Struct("=I")
EXIT_REASON_OFFSET = 8
EXIT_UNION_OFFSET = 32
# its member io: direction, size, port, count, data_offset.
PORT_ACCESS = struct.Struct("=BBHIQ")
# its member fail_entry: hardware_entry_failure_reason.
ENTRY_FAILURE = struct.Struct("=Q")
# its member internal: suberror.
INTERNAL_ERROR = struct.Struct("=I")

PAGE = 4096
GUEST_ADDRESS = 0x1000
# Three pages that no guest memory covers; below 2 GiB, since fcntl.ioctl takes a signed int.
TASK_STATE_ADDRESS = 0x10000
SERIAL_PORT = 0x3F8
MOST_EXITS = 64

# Starts with 0x40 in AL and 0x0b in BL; none of the letters stands in the code,
# so that only a processor that executed it can have written them.
INSTRUCTIONS = (
    b"\xba\xf8\x03",  # mov dx, 0x3f8
    b"\x00\xd8",  # add al, bl     'K'
    b"\xee",  # out dx, al
    b"\x00\xd8",  # add al, bl     'V'
    b"\xee",  # out dx, al
    b"\x2c\x09",  # sub al, 9      'M'
    b"\xee",  # out dx, al
    b"\xf4",  # hlt
)
START_AL = 0x40
START_BL = 0x0B
EXPECTED_OUTPUT = "KVM"
RFLAGS_ALWAYS_ONE = 0x2


class GuestError(Exception):
    """The guest did not run as it should; the text says why, in English."""


class GuestMachine:
    """A virtual machine of one processor and one page of memory, and what it has done so far."""

    def __init__(self) -> None:
        self.exits = 0
        self.output = b""
        self._descriptors: list[int] = []
        # Twice a page, since the kernel wants an aligned one and an array starts anywhere.
        self._memory = array.array("B", bytes(2 * PAGE))

    def run(self, device: str, code: bytes, expected_output: str) -> None:
        """Build the machine, run `code` until it halts, and compare what it wrote.

        Raises:
            GuestError: something failed, or the output is another one.
        """
        try:
            processor, shared_size = self._build(device, code)
            with mmap.mmap(processor, shared_size) as shared:
                while self._run_to_exit(processor, shared) != KVM_EXIT_HLT:
                    if self.exits >= MOST_EXITS:
                        raise GuestError(f"the guest did not halt within {MOST_EXITS} exits")
        finally:
            for descriptor in reversed(self._descriptors):
                os.close(descriptor)
        if self.text() != expected_output:
            raise GuestError(f"the guest wrote {self.text()!r} instead of {expected_output!r}")

    def text(self) -> str:
        """What the guest wrote, with bytes that are no ASCII kept visible."""
        return self.output.decode("ascii", "backslashreplace")

    def _build(self, device: str, code: bytes) -> tuple[int, int]:
        kvm = self._opened(device)
        version = call(kvm, KVM_GET_API_VERSION)
        if version != API_VERSION:
            raise GuestError(f"{device} speaks KVM API version {version} instead of {API_VERSION}")
        machine = self._kept(call(kvm, KVM_CREATE_VM))
        if call(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_TSS_ADDR):
            # Intel processors without "unrestricted guest" run real mode through this.
            call(machine, KVM_SET_TSS_ADDR, TASK_STATE_ADDRESS)
        call(machine, KVM_SET_USER_MEMORY_REGION, self._memory_region(code))
        processor = self._kept(call(machine, KVM_CREATE_VCPU))
        special = bytearray(SPECIAL_REGISTERS_SIZE)
        call(processor, KVM_GET_SREGS, special)
        CODE_SEGMENT_BASE.pack_into(special, CODE_SEGMENT_BASE_OFFSET, 0)
        CODE_SEGMENT_SELECTOR.pack_into(special, CODE_SEGMENT_SELECTOR_OFFSET, 0)
        call(processor, KVM_SET_SREGS, special)
        registers = [0] * 18
        registers[RAX], registers[RBX] = START_AL, START_BL
        registers[RIP], registers[RFLAGS] = GUEST_ADDRESS, RFLAGS_ALWAYS_ONE
        call(processor, KVM_SET_REGS, bytearray(REGISTERS.pack(*registers)))
        return processor, call(kvm, KVM_GET_VCPU_MMAP_SIZE)

    def _memory_region(self, code: bytes) -> bytearray:
        address, _length = self._memory.buffer_info()
        padding = -address % PAGE
        self._memory[padding : padding + len(code)] = array.array("B", code)
        return bytearray(MEMORY_REGION.pack(0, 0, GUEST_ADDRESS, PAGE, address + padding))

    def _run_to_exit(self, processor: int, shared: mmap.mmap) -> int:
        call(processor, KVM_RUN)
        self.exits += 1
        (reason,) = EXIT_REASON.unpack_from(shared, EXIT_REASON_OFFSET)
        if reason == KVM_EXIT_IO:
            direction, size, port, count, offset = PORT_ACCESS.unpack_from(shared, EXIT_UNION_OFFSET)
            if direction != KVM_EXIT_IO_OUT or port != SERIAL_PORT:
                raise GuestError(f"the guest used port {port:#x}, which it should not")
            self.output += shared[offset : offset + size * count]
        elif reason != KVM_EXIT_HLT:
            raise GuestError(f"the guest stopped with {described_exit(reason, shared)}")
        return int(reason)

    def _opened(self, device: str) -> int:
        try:
            return self._kept(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise GuestError(f"cannot open {device}: {error.strerror}") from error

    def _kept(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor


def call(descriptor: int, request: int, argument: int | bytearray = 0) -> int:
    """One ioctl; a bytearray is read and filled in place. Raises GuestError that names it."""
    try:
        return fcntl.ioctl(descriptor, request, argument)
    except OSError as error:
        raise GuestError(f"{IOCTL_NAMES[request]}: {error.strerror}") from error


def described_exit(reason: int, shared: mmap.mmap) -> str:
    """The name of an exit, with the reason that the kernel gives for some."""
    name = EXIT_NAMES.get(reason, f"exit {reason}")
    if reason == KVM_EXIT_FAIL_ENTRY:
        (hardware_reason,) = ENTRY_FAILURE.unpack_from(shared, EXIT_UNION_OFFSET)
        return f"{name}, hardware reason {hardware_reason:#x}"
    if reason == KVM_EXIT_INTERNAL_ERROR:
        (suberror,) = INTERNAL_ERROR.unpack_from(shared, EXIT_UNION_OFFSET)
        return f"{name}, suberror {suberror} ({INTERNAL_ERROR_NAMES.get(suberror, 'unnamed')})"
    return name


def refuse_other_architecture(architecture: str) -> None:
    """Raises GuestError off x86-64, whose instructions and registers these are."""
    if architecture != "x86_64":
        raise GuestError(f"this guest is written for x86_64, and this machine is {architecture}")


def run_guest(
    device: str = DEVICE,
    code: bytes = b"".join(INSTRUCTIONS),
    expected_output: str = EXPECTED_OUTPUT,
    architecture: str | None = None,
) -> dict[str, object]:
    """Run the guest and say what came of it, as the object that this program prints."""
    machine = GuestMachine()
    problem = None
    started = time.perf_counter()
    try:
        refuse_other_architecture(architecture or os.uname().machine)
        machine.run(device, code, expected_output)
    except GuestError as error:
        problem = str(error)
    except (OSError, ValueError, MemoryError) as error:
        problem = f"{type(error).__name__}: {error}"
    return {
        "ran": problem is None,
        "instructions": len(INSTRUCTIONS),
        "exits": machine.exits,
        "output": machine.text(),
        "milliseconds": round((time.perf_counter() - started) * 1000, 3),
        "problem": problem,
    }


def json_text(result: dict[str, object]) -> str:
    """The result as JSON; importing json would take longer than everything else here together."""
    return "{" + ", ".join(f'"{name}": {json_value(value)}' for name, value in result.items()) + "}"


def json_value(value: object) -> str:
    """A text, number, truth value or None as JSON; in a text, all but plain ASCII is escaped."""
    if isinstance(value, str):
        plain = [
            letter if " " <= letter <= "~" and letter not in '"\\' else escaped(letter) for letter in value
        ]
        return '"' + "".join(plain) + '"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def escaped(letter: str) -> str:
    """The letter as JSON escapes it; beyond U+FFFF, which no message of ours reaches, as a question mark."""
    return f"\\u{ord(letter):04x}" if ord(letter) < 1 << 16 else "?"


def time_is_up(_signal: int, _frame: object) -> None:
    """Ends a guest that never halts: KVM_RUN returns when a signal comes."""
    raise GuestError(f"the guest did not halt within {SECONDS} seconds")


def main() -> int:
    """Run the guest with a time limit, print the result, and return the exit status."""
    signal.signal(signal.SIGALRM, time_is_up)
    signal.alarm(SECONDS)
    result = run_guest()
    signal.alarm(0)
    sys.stdout.write(json_text(result) + "\n")
    return 0 if result["ran"] else 1


if __name__ == "__main__":
    sys.exit(main())
