"""The worker process that boots a built kernel as a guest, before it may be installed.

That a kernel compiles does not mean that it boots. The guest is given the built
image and an initramfs of one program, which says the kernel's release. Under KVM
where ordinary guests run; else, and where KVM comes to no end, without.
"""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.catalog.features import BOOT_TEST_ARCHITECTURES
from kvmwizard.job import Job, Work, main_exit, note, run_job
from kvmwizard.plan.build_model import BootKernel
from kvmwizard.plan.kernel_shell import COMMAND_LINE
from kvmwizard.product import write_stamp
from kvmwizard.proof.console import KernelSays, kernel_failure, said_of_itself
from kvmwizard.proof.context import ProofContext
from kvmwizard.proof.initramfs import initramfs
from kvmwizard.proof.messages import guest_was_stopped, lacks_accelerator, trouble_in
from kvmwizard.proof.process import EmulatorProcess, WaitEnd, emulator_process, private_directory
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say

KVM_DEVICE = "/dev/kvm"
ORDINARY_DRIVERS = ("kvm_intel", "kvm_amd")
EMULATING_DRIVER = "kvm_pvm"
"""It emulates a guest's kernel mode instruction by instruction, and lacks some that every Linux uses."""
KVM_SHARE, MOST_KVM_SECONDS = 0.5, 60.0
"""How much of the time KVM gets, before it is tried without."""
END_SECONDS = 10.0
TAIL_LINES = 20
ARGUMENTS = (
    "-no-user-config",
    "-nodefaults",
    *("-display", "none"),
    *("-serial", "stdio"),
    *("-m", "512"),
    "-no-reboot",
)
ACCELERATORS = {
    "kvm": ("-machine", "accel=kvm", "-cpu", "host"),
    "tcg": ("-machine", "accel=tcg"),
}
INITRAMFS = "initramfs"


class KernelNotBooted(Refusal):
    """The built kernel does not boot, or nobody can say."""


@dataclass(frozen=True)
class Trial:
    """One boot."""

    accelerator: str
    end: WaitEnd
    console: str
    seconds: float


def boot_kernel(job: Job) -> None:
    """Carry out a BootKernel. Raises Refusal, OSError."""
    action = BootKernel.model_validate(job.action)
    stamp = Path(action.stamp)
    stamp.unlink(missing_ok=True)
    _refuse_what_cannot_be(action)
    deadline = time.monotonic() + action.seconds
    with private_directory() as directory:
        (directory / INITRAMFS).write_bytes(initramfs())
        if kvm_runs_linux():
            limit = min(MOST_KVM_SECONDS, action.seconds * KVM_SHARE)
            trial = _boot(job, action, directory, "kvm", limit)
            if _is_final(trial):
                _conclude(job, action, trial)
                return
            note(say("KVM came to no end with this kernel, so it is booted without.").english)
        _conclude(job, action, _boot(job, action, directory, "tcg", deadline - time.monotonic()))


def kvm_runs_linux() -> bool:
    """Whether KVM can be used, and is of a kind that runs an ordinary Linux."""
    modules = Path("/sys/module")
    emulating = (modules / EMULATING_DRIVER).exists()
    ordinary = any((modules / driver).exists() for driver in ORDINARY_DRIVERS)
    if emulating and not ordinary:
        return False
    try:
        os.close(os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _refuse_what_cannot_be(action: BootKernel) -> None:
    architecture = os.uname().machine
    if architecture not in BOOT_TEST_ARCHITECTURES:
        raise KernelNotBooted(
            say(
                "A kernel can be tried as a guest on x86-64 alone, and this machine is {architecture}.",
                architecture=architecture,
            )
        )
    for path, what in ((action.image, say("the built kernel")), (action.qemu, say("QEMU"))):
        if not Path(path).is_file():
            raise KernelNotBooted(
                say("{path} is not there, which is {what}. Retry; it is built again.", path=path, what=what)
            )


def _boot(job: Job, action: BootKernel, directory: Path, accelerator: str, limit: float) -> Trial:
    """Boot once, with the console in the log."""
    firmware = [word for folder in action.firmware for word in ("-L", folder)]
    argv = [action.qemu, *ARGUMENTS, *ACCELERATORS[accelerator], *firmware]
    argv += ["-kernel", action.image, "-initrd", INITRAMFS, "-append", COMMAND_LINE]
    note("+ " + " ".join(argv))
    started = time.monotonic()
    with emulator_process(argv, directory, None) as emulator:
        console = _Console(emulator)

        def tell(seconds: int) -> None:
            console.show()
            job.progress.tell(_going_on(accelerator, seconds, int(limit)))

        end = emulator.wait(_context(), limit, lambda: _is_over(emulator.output()), tell)
        seconds = time.monotonic() - started
        if end is WaitEnd.REACHED:
            # A kernel that cannot restart the machine is none the worse for it.
            emulator.wait(_context(), END_SECONDS, lambda: False, lambda _seconds: None)
        console.show()
        return Trial(accelerator, end, emulator.output(), seconds)


class _Console:
    """Copies to the log what QEMU has printed since the last time."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self._emulator = emulator
        self._shown = 0

    def show(self) -> None:
        *lines, _unfinished = self._emulator.output().split("\n")
        for line in lines[self._shown :]:
            note(line.rstrip("\r"))
        self._shown = len(lines)


def _is_over(console: str) -> bool:
    return said_of_itself(console) is not None or guest_was_stopped(console)


def _is_final(trial: Trial) -> bool:
    """Whether the kernel itself was tried, rather than this machine's KVM."""
    says = KernelSays.of(trial.console)
    return says.release is not None or (says.panic is not None and not guest_was_stopped(trial.console))


def _conclude(job: Job, action: BootKernel, trial: Trial) -> None:
    """Write the stamp for a kernel that booted; raise KernelNotBooted for any other."""
    release = said_of_itself(trial.console)
    if release is None:
        raise KernelNotBooted(_why_not(action, trial))
    if release != action.release:
        raise KernelNotBooted(
            say(
                "The kernel that booted calls itself {says}, and {release} was to be built. Build it anew.",
                says=release,
                release=action.release,
            )
        )
    lines = [line.rstrip() for line in trial.console.splitlines() if line.strip()]
    about = {
        "accelerator": trial.accelerator,
        "release": release,
        "seconds": round(trial.seconds, 1),
        "console": lines[-TAIL_LINES:],
    }
    told = _booted(trial, release)
    write_stamp(Path(action.stamp), action.identity, [Path(action.image)], about, told)
    job.progress.tell(told, 1, 1)


def _why_not(action: BootKernel, trial: Trial) -> Words:
    if lacks_accelerator(trial.console, "tcg"):
        return say(
            "This QEMU runs guests with KVM alone, and this machine's KVM does not run an ordinary Linux, so "
            "the kernel cannot be tried. Choose another QEMU."
        )
    trouble = trouble_in(trial.console, _context())
    if trouble is not None:
        return trouble.found if trouble.remedy is None else _both(trouble.found, trouble.remedy)
    return kernel_failure(action.release, trial.console, int(trial.seconds), trial.end is WaitEnd.TIMED_OUT)


def _both(found: Words, remedy: Words) -> Words:
    return say("{found} {remedy}", found=found, remedy=remedy)


def _booted(trial: Trial, release: str) -> Words:
    seconds = f"{trial.seconds:.1f}"
    if trial.accelerator == "kvm":
        return say(
            "Linux {release} booted as a guest with KVM in {seconds} s.", release=release, seconds=seconds
        )
    return say(
        "Linux {release} booted as a guest without KVM in {seconds} s.", release=release, seconds=seconds
    )


def _going_on(accelerator: str, seconds: int, limit: int) -> Words:
    if accelerator == "kvm":
        return say(
            "The kernel boots as a guest with KVM: {seconds} s so far, at most {limit} s.",
            seconds=seconds,
            limit=limit,
        )
    return say(
        "The kernel boots as a guest without KVM: {seconds} s so far, at most {limit} s.",
        seconds=seconds,
        limit=limit,
    )


def _context() -> ProofContext:
    """For the process that this one is: nobody else, and stopped by a signal alone."""
    return ProofContext("", None, None, None, lambda _words: None, threading.Event())


WORK: dict[str, Work] = {"boot-kernel": boot_kernel}


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    return run_job(argv, WORK)


if __name__ == "__main__":
    main_exit(main)
