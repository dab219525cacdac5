"""What GRUB's own files lie on: whether GRUB itself can write its environment block there.

"For safety reasons, this storage is only available when installed on a plain disk
(no LVM or RAID), using a non-checksumming filesystem (no ZFS)" (GRUB's manual, The
GRUB environment block). A kernel that is named for one start is forgotten by GRUB
while it starts, and so stays named for ever where GRUB cannot write (grub-reboot(8)).
"""

import re
from pathlib import PurePosixPath

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import not_shown, not_understood
from kvmwizard.host.reading import Reading, Unknown

MOUNTS = "/proc/self/mountinfo"
GRUB_DIRECTORIES = ("/boot/grub", "/boot/grub2")
PLAIN = "plain"
PLAIN_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "jfs", "reiserfs", "vfat", "xfs"})
"""Which GRUB knows, and which keep no checksum of a file's content and overwrite it in place."""
RAID_DEVICE = re.compile(r"md[0-9_].*")
MOST_LAYERS = 8
"""Of devices made of devices; more than anybody stacks."""


def read_grub_storage(host: Host) -> Reading[str]:
    """`plain`, or what keeps GRUB from writing: `lvm`, `raid`, or the file system's name."""
    mounts = host.read_text(MOUNTS)
    if mounts is None or isinstance(mounts, Unknown):
        return mounts or not_shown(MOUNTS)
    directory = next((each for each in GRUB_DIRECTORIES if host.exists(each) is True), GRUB_DIRECTORIES[0])
    found = mount_of(mounts, directory)
    if found is None:
        return not_understood(mounts, MOUNTS)
    device, file_system = found
    if file_system not in PLAIN_FILE_SYSTEMS:
        return file_system
    return _kind_of_device(host, f"/sys/dev/block/{device}", MOST_LAYERS)


def mount_of(mounts: str, path: str) -> tuple[str, str] | None:
    """The device, as `8:1`, and the file system that a path lies on (proc_pid_mountinfo(5))."""
    best: tuple[int, tuple[str, str]] | None = None
    for line in mounts.splitlines():
        left, found, right = line.partition(" - ")
        fields = left.split(" ")
        if not found or len(fields) < 5:  # noqa: PLR2004  -- the fifth field is the mount point
            continue
        point = fields[4].encode("ascii", "replace").decode("unicode_escape")
        if PurePosixPath(path).is_relative_to(point) and (best is None or len(point) >= best[0]):
            # Of several at one place the last is the one that is seen.
            best = len(point), (fields[2], right.split(" ")[0])
    return best[1] if best is not None else None


def _kind_of_device(host: Host, place: str, layers: int) -> Reading[str]:
    """Of a block device by its folder in sysfs, and of what it is made of."""
    link = host.read_link(place)
    if not isinstance(link, str):
        return link or not_shown(place)
    names = PurePosixPath(link).parts[-2:]
    if any(RAID_DEVICE.fullmatch(name) for name in names):
        return "raid"
    identity = host.read_word(f"{place}/dm/uuid")
    if isinstance(identity, str) and identity.startswith("LVM-"):
        return "lvm"
    parts = host.list_directory(f"{place}/slaves")
    for part in parts if isinstance(parts, tuple) and layers else ():
        kind = _kind_of_device(host, f"/sys/class/block/{part}", layers - 1)
        if kind != PLAIN:
            return kind
    return PLAIN
