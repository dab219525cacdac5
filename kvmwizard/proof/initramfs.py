"""The initramfs with which a built kernel is tried: one program and the console it writes to."""

from kvmwizard.resources import asset_path

PROGRAM = "guest/init"
MAGIC = b"070701"
TRAILER = "TRAILER!!!"
DIRECTORY, DEVICE, FILE = 0o040755, 0o020600, 0o100755
CONSOLE_DEVICE = (5, 1)
"""/dev/console (Documentation/admin-guide/devices.txt)."""


def initramfs() -> bytes:
    """A cpio archive in the kernel's own format (Documentation/driver-api/early-userspace/buffer-format.rst).

    It is not packed, so that the kernel needs no decompressor. The console is in
    it, since a kernel need not have one in its built-in initramfs.
    """
    entries = (
        _entry(1, "dev", DIRECTORY),
        _entry(2, "dev/console", DEVICE, device=CONSOLE_DEVICE),
        _entry(3, "init", FILE, asset_path(PROGRAM).read_bytes()),
        _entry(0, TRAILER, 0),
    )
    return b"".join(entries)


def _entry(
    number: int, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
) -> bytes:
    """One member: 13 numbers of eight digits, the name and the content, both filled up to four bytes."""
    links = 2 if mode == DIRECTORY else 1
    numbers = (number, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name) + 1, 0)
    head = MAGIC + b"".join(b"%08x" % each for each in numbers) + name.encode("ascii") + b"\0"
    return _filled(head) + _filled(content)


def _filled(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)
