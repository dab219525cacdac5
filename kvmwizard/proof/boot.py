"""The levels at which QEMU boots our 512-byte disk, without KVM and with it.

The disk writes a line to the serial port and powers off (assets/guest/boot.s).
Without KVM it tells whether QEMU works at all, so that a broken QEMU is not
taken for a broken KVM.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.context import ProofContext
from kvmwizard.proof.messages import (
    guest_was_stopped,
    lacks_accelerator,
    lacks_debug_exit,
    not_started,
    trouble_in,
    unexpected_end,
)
from kvmwizard.proof.model import ProofLevel
from kvmwizard.proof.process import WaitEnd, emulator_process, hand_over, private_directory
from kvmwizard.proof.remedies import try_again_remedy
from kvmwizard.resources import asset_path
from kvmwizard.words import Words, say

BOOT_SECONDS = 120.0
MARKER = "kvmwizard: a guest has booted"
DISK = "boot.img"
DISK_BYTES = 1024 * 1024
"""The sector is padded to two cylinders of 16 heads and 63 sectors, the least that QEMU gives a drive."""

COMMON_ARGUMENTS = (
    "-no-user-config",
    "-nodefaults",
    *("-display", "none"),
    *("-serial", "stdio"),
    *("-m", "32"),
    "-no-reboot",
)
TCG_ARGUMENTS = ("-machine", "accel=tcg")
KVM_ARGUMENTS = ("-enable-kvm", "-cpu", "host")


@dataclass(frozen=True)
class DiskKind:
    """How the disk is attached, and the status QEMU ends with when it powers off."""

    arguments: tuple[str, ...]
    returncode: int


# A hard disk and no floppy: SeaBIOS waits for each of a floppy controller's interrupts,
# and on a busy kvm_pvm host half of such boots stood still for minutes.
HARD_DISK_ARGUMENTS = ("-drive", f"file={DISK},format=raw", "-boot", "c")
ENDED_BY_DEBUG_EXIT = DiskKind(
    (*HARD_DISK_ARGUMENTS, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
    33,
)
# For a QEMU without the debug exit.
ENDED_BY_RESET = DiskKind(HARD_DISK_ARGUMENTS, 0)


@dataclass(frozen=True)
class BootResult:
    """How one QEMU ended."""

    end: WaitEnd
    returncode: int | None
    output: str
    seconds: float


def boot_level(context: ProofContext, qemu: str, architecture: str, *, with_kvm: bool) -> ProofLevel:
    """Boot the disk and judge what came of it; `architecture` is that of the machine."""
    if architecture != "x86_64":
        found = say(
            "The disk is for x86-64 processors, and this machine is {architecture}.",
            architecture=architecture,
        )
        return boot_outcome(Outcome.NOT_APPLICABLE, found, with_kvm=with_kvm)
    if with_kvm and context.refusal is not None:
        return boot_outcome(Outcome.UNKNOWN, context.refusal, with_kvm=True, remedy=context.refusal_remedy)
    try:
        disk = ENDED_BY_DEBUG_EXIT
        result = boot(context, qemu, disk, with_kvm=with_kvm)
        if lacks_debug_exit(result.output):
            disk = ENDED_BY_RESET
            result = boot(context, qemu, disk, with_kvm=with_kvm)
    except OSError as error:
        trouble = not_started(error)
        return boot_outcome(Outcome.FAIL, trouble.found, with_kvm=with_kvm, remedy=trouble.remedy)
    return judged_boot(result, disk, context, with_kvm=with_kvm)


def boot(context: ProofContext, qemu: str, disk: DiskKind, *, with_kvm: bool) -> BootResult:
    """Boot the disk in a private directory. Raises OSError where QEMU cannot be started."""
    accelerator = KVM_ARGUMENTS if with_kvm else TCG_ARGUMENTS
    with private_directory() as directory:
        _write_disk(directory / DISK)
        hand_over(directory, context.identity)
        started = time.monotonic()
        argv = (qemu, *COMMON_ARGUMENTS, *accelerator, *disk.arguments)
        with emulator_process(argv, directory, context.identity) as emulator:
            end = emulator.wait(
                context,
                BOOT_SECONDS,
                reached=lambda: guest_was_stopped(emulator.output()),
                on_second=lambda seconds: context.on_progress(_progress(seconds, with_kvm=with_kvm)),
            )
            return BootResult(end, emulator.returncode, emulator.output(), time.monotonic() - started)


def judged_boot(result: BootResult, disk: DiskKind, context: ProofContext, *, with_kvm: bool) -> ProofLevel:
    """What the end of a QEMU means; touches nothing."""

    def level(outcome: Outcome, found: Words, remedy: Words | None = None) -> ProofLevel:
        return boot_outcome(outcome, found, with_kvm=with_kvm, seconds=result.seconds, remedy=remedy)

    if result.end is WaitEnd.ENDED and MARKER in result.output and result.returncode == disk.returncode:
        return level(
            Outcome.PASS,
            say("A disk booted and powered off in {seconds} s.", seconds=f"{result.seconds:.1f}"),
        )
    if result.end is WaitEnd.CANCELLED:
        return level(Outcome.UNKNOWN, say("Stopped before it was done."), say("Try again: kvmwizard verify"))
    if not with_kvm and lacks_accelerator(result.output, "tcg"):
        return level(Outcome.NOT_APPLICABLE, say("This QEMU was built to run guests with KVM alone."))
    trouble = trouble_in(result.output, context)
    if trouble is not None:
        return level(Outcome.FAIL, trouble.found, trouble.remedy)
    if result.end is WaitEnd.TIMED_OUT:
        return level(Outcome.FAIL, *_too_slow(with_kvm=with_kvm))
    end = unexpected_end(result.returncode, result.output)
    return level(Outcome.FAIL, end.found, end.remedy)


def boot_outcome(
    outcome: Outcome,
    found: Words,
    *,
    with_kvm: bool,
    seconds: float | None = None,
    remedy: Words | None = None,
) -> ProofLevel:
    """A level of this file, with its id and title."""
    return ProofLevel(
        id="qemu-with-kvm" if with_kvm else "qemu-without-kvm",
        title=say("QEMU boots with KVM") if with_kvm else say("QEMU boots without KVM"),
        outcome=outcome,
        found=found,
        seconds=seconds,
        remedy=remedy,
    )


def _write_disk(path: Path) -> None:
    """A copy for the user, who may not be able to read the original; QEMU opens it for writing too."""
    sector = asset_path("guest/boot.img").read_bytes()
    path.write_bytes(sector.ljust(DISK_BYTES, b"\0"))
    # Its directory keeps everyone else out.
    path.chmod(0o666)


def _progress(seconds: int, *, with_kvm: bool) -> Words:
    limit = int(BOOT_SECONDS)
    if with_kvm:
        return say(
            "QEMU boots a disk with KVM: {seconds} s so far, at most {limit} s; a busy machine takes long.",
            seconds=seconds,
            limit=limit,
        )
    return say(
        "QEMU boots a disk without KVM: {seconds} s so far, at most {limit} s.", seconds=seconds, limit=limit
    )


def _too_slow(*, with_kvm: bool) -> tuple[Words, Words]:
    limit = int(BOOT_SECONDS)
    if with_kvm:
        return (
            say("The disk did not boot with KVM within {limit} seconds.", limit=limit),
            say(
                "If the machine is busy, try again when it is idle: kvmwizard verify."
                " If it is idle, this machine's KVM cannot run firmware."
            ),
        )
    return (
        say("The disk did not boot within {limit} seconds.", limit=limit),
        try_again_remedy(),
    )
