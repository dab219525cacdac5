"""What a run sees of a restart, in a machine that cannot be restarted."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.machine.machine import ThrowawayMachine

OSRELEASE, BOOT_ID = "/proc/sys/kernel/osrelease", "/proc/sys/kernel/random/boot_id"
ANOTHER_BOOT = "6c1d8f1e-41cd-4a51-9c9d-2c5a8f6f0a11"


@contextmanager
def restarted_into(machine: ThrowawayMachine, release: str) -> Iterator[None]:
    """Meanwhile the machine says that this kernel runs, and that this is another boot."""
    for path, text in ((BOOT_ID, ANOTHER_BOOT), (OSRELEASE, release)):
        machine.path(f"/opt/{text}").write_text(f"{text}\n", encoding="ascii")
        machine.do(["/bin/mount", "--bind", f"/opt/{text}", path])
    try:
        yield
    finally:
        machine.do(["/bin/umount", BOOT_ID, OSRELEASE])
