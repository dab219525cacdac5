"""What to do about a KVM device that does not open."""

import os
from pathlib import Path

from kvmwizard.host.identity import stored_identity
from kvmwizard.host.kvm_device import KVM_DEVICE
from kvmwizard.proof.context import ProofContext
from kvmwizard.words import Words, say

PERMISSION_DENIED = "Permission denied"
NO_SUCH_FILE = "No such file or directory"
BUSY = "Device or resource busy"


def device_remedy(reason: str, context: ProofContext) -> Words:
    """What to do when KVM refuses, by the system's own error text."""
    if PERMISSION_DENIED in reason:
        return _access_remedy(context)
    if NO_SUCH_FILE in reason:
        return say("Load the KVM module; kvmwizard check says what keeps it away: kvmwizard check")
    if BUSY in reason:
        return say("Close the other hypervisor's machines (VirtualBox, VMware), then run: kvmwizard verify")
    return say("See what this machine lacks for KVM: kvmwizard check")


def other_qemu_remedy() -> Words:
    """What to do about a QEMU that cannot do what is asked of it."""
    return say("Choose another QEMU on kvmwizard's page QEMU.")


def try_again_remedy() -> Words:
    """What to do after a wait that was broken off."""
    return say("If the machine is busy, try again when it is idle: kvmwizard verify")


def _access_remedy(context: ProofContext) -> Words:
    if context.identity is None and _next_login_opens(context.user):
        return say(
            "{user} joined the device's group after this login: log out and in again.",
            user=context.user,
        )
    return say("Give {user} access: run kvmwizard, and choose {user} on the page Access.", user=context.user)


def _next_login_opens(user: str) -> bool:
    """Whether the user's stored groups hold the device's group, and this process's do not."""
    identity = stored_identity(user)
    try:
        group_id = Path(KVM_DEVICE).stat().st_gid
    except OSError:
        return False
    present = {*os.getgroups(), os.getegid()}
    return identity is not None and group_id in identity.group_ids and group_id not in present
