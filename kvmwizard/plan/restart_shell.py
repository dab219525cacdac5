"""How the script goes across a restart of the machine, and proves guests after it."""

import shlex

from kvmwizard.host.guest_process import GUEST_PROGRAM
from kvmwizard.plan.build_model import KernelRuns, ProveGuests
from kvmwizard.plan.model import Step
from kvmwizard.plan.shell_words import Lines, broken, line, quoted
from kvmwizard.resources import asset_path

PROOF_SECONDS = 120
GUEST_SAYS = "a guest has booted"
"""What the 512-byte disk prints (assets/guest/boot.s)."""


def until_restart(step: Step) -> Lines:
    """Begins what is done before the restart alone; under the new kernel the script goes on behind it."""
    release = next(condition.release for condition in step.conditions if isinstance(condition, KernelRuns))
    return ("", f'if [ "$(uname -r)" != {quoted(release)} ]; then')


def stop_for_restart() -> Lines:
    """Ends it."""
    return (
        "echo 'Restart the machine, then run this script again: it goes on from here.'",
        "exit 0",
        "fi",
    )


def prove_guests(action: ProveGuests) -> Lines:
    """Our own guest, and a disk that QEMU boots with KVM; both as the user."""
    as_user = shlex.join(("runuser", "-u", action.user, "--"))
    running = f'[ "$(uname -r)" = {quoted(action.release)} ]'
    if action.qemu is None or not action.qemu.endswith("x86_64"):
        # Our guests are programs for x86-64 processors.
        return (running, line("kvmwizard", "verify", "--user", action.user))
    qemu = broken(
        *(action.qemu, "-enable-kvm", "-cpu", "host", "-no-user-config", "-nodefaults"),
        *("-display", "none", "-serial", "stdio", "-m", "32", "-no-reboot", "-boot", "c"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
    )
    return (
        running,
        f"{as_user} python3 -I -S - <{quoted(str(GUEST_PROGRAM))}",
        "disk=$(mktemp)",
        f'cat {quoted(str(asset_path("guest/boot.img")))} >"$disk"',
        'truncate -s 1M "$disk"',
        'chmod 0644 "$disk"',
        f"{as_user} timeout {PROOF_SECONDS} {qemu[0]}",
        *qemu[1:-1],
        f"{qemu[-1]} \\",
        f'    -drive "file=$disk,format=raw,snapshot=on" </dev/null | grep {quoted(GUEST_SAYS)}',
        'rm -f -- "$disk"',
    )
