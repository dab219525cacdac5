"""What QEMU's own messages mean. The texts are those of QEMU 2.7 to 10.x."""

import errno
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from kvmwizard.proof.context import ProofContext
from kvmwizard.proof.remedies import device_remedy, other_qemu_remedy
from kvmwizard.words import Words, say

# KVM gave up on the guest (accel/kvm/kvm-all.c, kvm_cpu_exec). QEMU pauses the
# guest then and stays, so that waiting any longer is in vain.
GUEST_STOPPED = re.compile(r"KVM internal error|KVM: entry failed|error: kvm run failed|KVM: unknown exit")
NO_DEBUG_EXIT = re.compile(
    r"'isa-debug-exit' is not a valid device model name|Device '?isa-debug-exit'? not found"
)
NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
EMULATION_FAILURE = "1"


@dataclass(frozen=True)
class Trouble:
    """What a message means, and what to do."""

    found: Words
    remedy: Words | None


def guest_was_stopped(output: str) -> bool:
    """Whether KVM has stopped the guest for good, though QEMU may still be running."""
    return GUEST_STOPPED.search(output) is not None


def lacks_debug_exit(output: str) -> bool:
    """Whether this QEMU was built without the device isa-debug-exit (RHEL's is)."""
    return NO_DEBUG_EXIT.search(output) is not None


def lacks_accelerator(output: str, accelerator: str) -> bool:
    """Whether this QEMU was built without `kvm` or `tcg`."""
    name = re.escape(accelerator)
    return re.search(rf'invalid accelerator {name}\b|"{name}" accelerator not found', output) is not None


def not_started(error: OSError) -> Trouble:
    """What kept us from starting QEMU: the program itself, or the place for its files."""
    reason = str(error.strerror)
    if error.errno in NO_PLACE:
        found = say("No temporary files can be written to /tmp: {reason}.", reason=reason)
        return Trouble(found, say("Make room in /tmp, then run: kvmwizard verify"))
    return Trouble(say("QEMU could not be started: {reason}.", reason=reason), other_qemu_remedy())


def unexpected_end(returncode: int | None, output: str) -> Trouble:
    """What can be said of a QEMU that ended for no reason that we know."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if returncode is not None and returncode < 0:
        found = say("QEMU was ended by signal {signal}.", signal=_signal_name(-returncode))
        return Trouble(found, say("Look at the kernel's log for the cause: dmesg"))
    remedy = say("Install this QEMU anew, or choose another one on kvmwizard's page QEMU.")
    status = str(returncode)
    if not lines:
        return Trouble(say("QEMU ended with status {status} and said nothing.", status=status), remedy)
    # The last line is the error that it ended for.
    return Trouble(
        say("QEMU ended with status {status} and said: {message}", status=status, message=lines[-1]), remedy
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def trouble_in(output: str, context: ProofContext) -> Trouble | None:
    """The first known trouble in what QEMU printed; None where there is none that we know."""
    for pattern, meaning in MEANINGS:
        match = pattern.search(output)
        if match:
            return meaning(match, context)
    return None


def _internal_error(match: re.Match[str], _context: ProofContext) -> Trouble:
    if match[1] == EMULATION_FAILURE:
        return Trouble(
            say(
                "KVM stopped the guest: it could not carry out an instruction"
                " (KVM internal error, suberror 1: emulation failure)."
            ),
            say(
                "This is a limit of this machine's KVM; kvm_pvm has it, which emulates a guest's kernel mode."
                " A newer kernel here, or on the machine above, may lift it."
            ),
        )
    return Trouble(
        say("KVM stopped the guest: KVM internal error, suberror {suberror}.", suberror=match[1]),
        say("Look at the kernel's log for the cause: dmesg | grep -i kvm"),
    )


def _entry_failed(match: re.Match[str], _context: ProofContext) -> Trouble:
    return Trouble(
        say(
            "The processor refused to enter the guest: hardware error {number}.",
            number=match[1],
        ),
        say("Look at the kernel's log for the cause: dmesg | grep -i kvm"),
    )


def _run_failed(match: re.Match[str], context: ProofContext) -> Trouble:
    return Trouble(
        say("KVM failed while it ran the guest: {reason}.", reason=match[1]), device_remedy(match[1], context)
    )


def _no_machine(match: re.Match[str], context: ProofContext) -> Trouble:
    return Trouble(
        say("KVM would not make a virtual machine: {reason}.", reason=match[1]),
        device_remedy(match[1], context),
    )


def _no_access(match: re.Match[str], context: ProofContext) -> Trouble:
    return Trouble(
        say("QEMU could not open /dev/kvm: {reason}.", reason=match[1]), device_remedy(match[1], context)
    )


def _not_initialized(match: re.Match[str], context: ProofContext) -> Trouble:
    return Trouble(
        say("QEMU could not start KVM: {reason}.", reason=match[1]), device_remedy(match[1], context)
    )


def _no_kvm_built(_match: re.Match[str], _context: ProofContext) -> Trouble:
    return Trouble(say("This QEMU was built without KVM."), other_qemu_remedy())


def _not_started(match: re.Match[str], _context: ProofContext) -> Trouble:
    return Trouble(say("QEMU could not be started: {reason}.", reason=match[1]), other_qemu_remedy())


def _no_firmware(match: re.Match[str], _context: ProofContext) -> Trouble:
    return Trouble(
        say("QEMU does not find its firmware {file}.", file=match[1]),
        say("Install QEMU's firmware (SeaBIOS), or this QEMU anew with its data files."),
    )


def _no_library(match: re.Match[str], _context: ProofContext) -> Trouble:
    return Trouble(
        say("QEMU does not start: the library {library} is missing.", library=match[1]),
        say("Install that library, or choose another QEMU on kvmwizard's page QEMU."),
    )


MEANINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], ProofContext], Trouble]], ...] = (
    (re.compile(r"^setpriv: failed to execute .+: (.+)", re.MULTILINE), _not_started),
    (re.compile(r"KVM internal error\. Suberror: (\d+)"), _internal_error),
    (re.compile(r"KVM: entry failed, hardware error (0x[0-9a-f]+)"), _entry_failed),
    (re.compile(r"error: kvm run failed (.+)"), _run_failed),
    (re.compile(r"Could not access KVM kernel module: (.+)"), _no_access),
    (re.compile(r"ioctl\(KVM_CREATE_VM\) failed: \d+ (.+)"), _no_machine),
    (re.compile(r"failed to initialize (?:kvm|KVM): (.+)"), _not_initialized),
    (re.compile(r'invalid accelerator kvm\b|"kvm" accelerator not found'), _no_kvm_built),
    (re.compile(r"could not load (?:PC )?BIOS '([^']+)'"), _no_firmware),
    (re.compile(r"error while loading shared libraries: ([^:\s]+)"), _no_library),
)
"""Most telling first: QEMU often prints a cause and then what follows from it."""
