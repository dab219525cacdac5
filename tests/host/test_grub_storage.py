"""On what GRUB's files lie, and whether GRUB can write there."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from kvmwizard.host.distribution import read_distribution
from kvmwizard.host.grub_storage import MOUNTS, mount_of, read_grub_storage
from kvmwizard.host.reading import Unknown
from tests.host.trees import make_host

GRUB = {"/boot/grub/grub.cfg": ""}
DISK = "/sys/devices/pci0000:00/block/sda/sda2"
MAPPED = "/sys/devices/virtual/block/{}"


def mounted(device: str, file_system: str, point: str = "/") -> str:
    """A line as the kernel writes it (proc_pid_mountinfo(5))."""
    return f"25 1 {device} / {point} rw,relatime shared:1 - {file_system} /dev/root rw\n"


def stored(tmp_path: Path, mounts: str, devices: Mapping[str, tuple[str, str, tuple[str, ...]]]) -> object:
    """What is read; of each device by its number: its name, its mapper's identity, and what it is made of."""
    files: dict[str, str] = {**GRUB, MOUNTS: mounts}
    links: dict[str, str] = {}
    for number, (name, identity, parts) in devices.items():
        place = DISK if name == "sda2" else MAPPED.format(name)
        files[f"{place}/size"] = "1"
        if identity:
            files[f"{place}/dm/uuid"] = identity
        for part in parts:
            files[f"{place}/slaves/{part}/size"] = "1"
        links |= {
            f"/sys/dev/block/{number}": f"../../..{place}",
            f"/sys/class/block/{name}": f"../../..{place}",
        }
    return read_grub_storage(make_host(tmp_path, files, links=links))


PARTITION = {"8:2": ("sda2", "", ())}


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "vfat"])
def test_grub_writes_to_a_partition_of_a_disk(tmp_path: Path, file_system: str) -> None:
    assert stored(tmp_path, mounted("8:2", file_system), PARTITION) == "plain"


@pytest.mark.parametrize("file_system", ["btrfs", "zfs", "overlay", "f2fs"])
def test_what_keeps_checksums_or_is_unknown_to_grub_is_not_written(tmp_path: Path, file_system: str) -> None:
    assert stored(tmp_path, mounted("0:31", file_system), {}) == file_system


@pytest.mark.parametrize(
    ("devices", "kind"),
    [
        ({"253:0": ("dm-0", "LVM-abc", ("sda2",)), **PARTITION}, "lvm"),
        ({"253:0": ("dm-0", "CRYPT-LUKS2-abc", ("sda2",)), **PARTITION}, "plain"),
        ({"253:0": ("dm-0", "CRYPT-LUKS2-abc", ("dm-1",)), "253:1": ("dm-1", "LVM-abc", ())}, "lvm"),
        ({"253:0": ("dm-0", "CRYPT-LUKS2-abc", ("md0",)), "9:0": ("md0", "", ("sda2",))}, "raid"),
        ({"253:0": ("md127", "", ())}, "raid"),
    ],
)
def test_layers_of_devices_are_looked_through(
    tmp_path: Path, devices: Mapping[str, tuple[str, str, tuple[str, ...]]], kind: str
) -> None:
    assert stored(tmp_path, mounted("253:0", "ext4"), devices) == kind


def test_a_file_system_of_boot_s_own_counts(tmp_path: Path) -> None:
    mounts = mounted("253:0", "btrfs") + mounted("8:2", "ext4", "/boot") + mounted("0:5", "vfat", "/boot/efi")
    assert stored(tmp_path, mounts, PARTITION) == "plain"


def test_of_mounts_at_one_place_the_last_is_seen_and_spaces_are_escaped() -> None:
    mounts = mounted("8:1", "ext4") + mounted("8:2", "xfs", "/a\\040b") + mounted("8:3", "xfs", "/a\\040b")
    assert mount_of(mounts, "/a b/c") == ("8:3", "xfs")
    assert mount_of(mounts, "/a") == ("8:1", "ext4")
    assert mount_of("nonsense\n", "/") is None


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert isinstance(read_grub_storage(make_host(tmp_path / "one", GRUB)), Unknown)
    assert isinstance(stored(tmp_path / "two", mounted("8:2", "ext4"), {}), Unknown)
    elsewhere = make_host(tmp_path / "three", {"/etc/zipl.conf": "", MOUNTS: mounted("8:2", "ext4")})
    assert isinstance(read_distribution(elsewhere).grub_storage, Unknown)
