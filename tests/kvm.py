"""Why guests cannot be tried on this machine."""

import os


def why_no_guests() -> str | None:
    """Why the tests cannot run a guest through /dev/kvm, or None where they can."""
    if os.uname().machine != "x86_64":
        return f"our guest is written for x86-64, and this machine is {os.uname().machine}"
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/kvm does not open: {error.strerror}"
    return None
