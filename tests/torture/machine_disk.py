"""The disk of the full virtual machine: Debian by debootstrap, with systemd, sudo, sshd and GRUB."""

import re
import struct
from functools import partial
from pathlib import Path

from tests.machine.layers import ALICE_PASSWORD, Layer, base_layer, prepared_layer
from tests.machine.machine import ThrowawayMachine
from tests.torture.virtual_machine import FOLDER, KEY, DirectKernel, VirtualMachine

TOOLS = ("debootstrap", "e2fsprogs", "qemu-system-x86", "qemu-utils", "openssh-client", "grub-pc-bin")
DISK = f"{FOLDER}/debian.qcow2"
PROGRAM_LABEL = "kvmwizard"
"""Of the disk that holds the program: mounted where its virtual environment was made."""
ROOT = "/srv/root"
RAW = f"{FOLDER}/debian.raw"
DISK_BYTES = 5 * 2**30
GAP_BYTES = 2**20
"""Before the only partition, where GRUB's own code lies."""
SECTOR_BYTES = 512
LINUX_PARTITION, ACTIVE = 0x83, 0x80
FILE_SYSTEM = "7c0ff1ce-0000-4000-8000-000000000004"
SYSTEM_PACKAGES = (
    *(
        "systemd",
        "systemd-sysv",
        "dbus",
        "libpam-systemd",
        "udev",
        "kmod",
        "iproute2",
        "sudo",
        "openssh-server",
    ),
    *("python3", "linux-image-cloud-amd64", "initramfs-tools", "grub-pc", "qemu-system-x86", "qemu-utils"),
)
BUILD_PACKAGES = (
    *("xz-utils", "bzip2", "gpgv", "git", "patch", "tar", "ca-certificates", "make", "gcc", "libc6-dev"),
    *("binutils", "perl", "bc", "openssl", "libssl-dev", "libelf-dev", "flex", "bison", "pkg-config", "cpio"),
    "zstd",
)
"""What the plan would install first: there already, since an emulated processor takes minutes for it."""
APT_SECONDS = 1800
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("e2scrub_reap.service", "fstrim.timer", "systemd-tmpfiles-clean.timer", "getty@tty1.service"),
    *("systemd-networkd-wait-online.service", "serial-getty@ttyS0.service", "systemd-timesyncd.service"),
)
SETTINGS = {
    "/etc/hostname": "machine\n",
    "/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 machine\n",
    "/etc/resolv.conf": "nameserver 10.0.2.3\n",
    "/etc/fstab": (
        f"UUID={FILE_SYSTEM} / ext4 errors=remount-ro 0 1\n"
        f"LABEL={PROGRAM_LABEL} /opt/kvmwizard ext4 ro,nofail 0 0\n"
    ),
    "/etc/systemd/network/10-machine.network": (
        "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nIPv6AcceptRA=no\n"
    ),
    "/etc/systemd/logind.conf.d/sessions.conf": "[Login]\nKillUserProcesses=yes\n",
    "/etc/ssh/sshd_config.d/quick.conf": "UseDNS no\nPrintMotd no\n",
    "/etc/initramfs-tools/conf.d/small": "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n",
    "/etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "/etc/default/grub.d/machine.cfg": (
        'GRUB_TIMEOUT=1\nGRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX="console=ttyS0 mitigations=off"\n'
    ),
    "/usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}
"""KillUserProcesses: where logind ends what a session leaves behind, runner and helper have to see to it."""


def tools_layer() -> Layer:
    """A machine with QEMU, and what makes and starts a disk."""

    def install(machine: ThrowawayMachine) -> None:
        _apt(machine, "install", *TOOLS)
        machine.do(["mkdir", "-p", FOLDER])

    return prepared_layer("full-machine-tools", install, [" ".join(TOOLS).encode()], base_layer())


def disk_layer() -> Layer:
    """Above the tools, the disk and the key that opens it."""
    recipe = [Path(__file__).read_bytes()]
    return prepared_layer("full-machine-disk", make_disk, recipe, tools_layer())


def make_disk(machine: ThrowawayMachine) -> None:
    """The recipe: bootstrapped in a folder, made a file system of, started once for GRUB's menu."""
    machine.do(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY])
    _bootstrap(machine)
    _settle(machine)
    _make_file_system(machine)
    _first_start(machine)
    machine.do(["qemu-img", "convert", "-O", "qcow2", RAW, DISK], timeout=APT_SECONDS)
    machine.do(["rm", "-rf", RAW, ROOT])


def _apt(machine: ThrowawayMachine, *words: str, root: str | None = None) -> None:
    inside = [] if root is None else ["chroot", root]
    argv = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "--no-install-recommends", *words]
    machine.do([*inside, *argv], env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=APT_SECONDS)


def _bootstrap(machine: ThrowawayMachine) -> None:
    """Debian with its packages, from the mirror that this machine uses."""
    sources = machine.path("/etc/apt/sources.list.d/debian.sources").read_text(encoding="utf-8")
    mirror = re.findall(r"^URIs: *(\S+)", sources, re.MULTILINE)[0]
    suite = re.findall(r"^Suites: *(\S+)", sources, re.MULTILINE)[0]
    machine.do(["debootstrap", "--variant=minbase", suite, ROOT, mirror], timeout=APT_SECONDS)
    for text_path, text in SETTINGS.items():
        place = machine.path(f"{ROOT}{text_path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    machine.path(f"{ROOT}/usr/sbin/policy-rc.d").chmod(0o755)
    machine.do(["cp", "/etc/resolv.conf", f"{ROOT}/etc/resolv.conf"])
    machine.path(f"{ROOT}/etc/apt/sources.list").unlink(missing_ok=True)
    machine.path(f"{ROOT}/etc/apt/sources.list.d/debian.sources").write_text(sources, encoding="utf-8")
    machine.do(["mount", "-t", "proc", "proc", f"{ROOT}/proc"])
    machine.do(["mount", "--rbind", "/dev", f"{ROOT}/dev"])
    _apt(machine, "update", root=ROOT)
    _apt(machine, "install", *SYSTEM_PACKAGES, *BUILD_PACKAGES, root=ROOT)
    machine.do(["umount", "--recursive", f"{ROOT}/dev", f"{ROOT}/proc"])


def _settle(machine: ThrowawayMachine) -> None:
    """Users, what starts and what does not, and nothing of apt's downloads."""
    do = partial(_do_inside, machine)
    do("useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", "alice")
    machine.do(["chroot", ROOT, "chpasswd"], input=f"alice:{ALICE_PASSWORD}\n")
    public = machine.path(f"{KEY}.pub").read_text(encoding="ascii")
    for home, user in (("/root", "root"), ("/home/alice", "alice")):
        do("install", "-d", "-m", "700", "-o", user, "-g", user, f"{home}/.ssh")
        machine.path(f"{ROOT}{home}/.ssh/authorized_keys").write_text(public, encoding="ascii")
    do("systemctl", "mask", *MASKED)
    do("systemctl", "enable", "systemd-networkd.service", "ssh.service")
    do("mkdir", "-p", "/opt/kvmwizard", "/boot/grub")
    do("cp", "-r", "/usr/lib/grub/i386-pc", "/boot/grub/")
    do("apt-get", "clean")
    do("rm", "-f", "/usr/sbin/policy-rc.d", "/etc/resolv.conf")
    machine.path(f"{ROOT}/etc/resolv.conf").write_text(SETTINGS["/etc/resolv.conf"], encoding="ascii")


def _do_inside(machine: ThrowawayMachine, *words: str) -> None:
    machine.do(["chroot", ROOT, *words])


def _make_file_system(machine: ThrowawayMachine) -> None:
    """One partition with the folder's files, and GRUB before it, which then reads them."""
    with machine.path(RAW).open("wb") as disk:
        disk.truncate(DISK_BYTES)
    # The last sector's worth stays free, as a partition's end is rounded down.
    blocks = f"{(DISK_BYTES - 2 * GAP_BYTES) // 2**10}k"
    machine.do(
        [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-F",
            "-U",
            FILE_SYSTEM,
            "-E",
            f"offset={GAP_BYTES}",
            "-d",
            ROOT,
            RAW,
            blocks,
        ],
        timeout=APT_SECONDS,
    )
    core = f"{FOLDER}/core.img"
    make = ["grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-o", core]
    machine.do([*make, "biosdisk", "part_msdos", "ext2"])
    boot = machine.path("/usr/lib/grub/i386-pc/boot.img").read_bytes()
    with machine.path(RAW).open("r+b") as disk:
        disk.write(boot_sector(boot))
        disk.write(machine.path(core).read_bytes())
        assert disk.tell() < GAP_BYTES


def boot_sector(boot: bytes) -> bytes:
    """GRUB's boot sector with a table of one partition; it loads what lies in the sectors behind it."""
    sectors = (DISK_BYTES - 2 * GAP_BYTES) // SECTOR_BYTES
    no_cylinders = b"\xfe\xff\xff"
    entry = struct.pack(
        "<B3sB3sII", ACTIVE, no_cylinders, LINUX_PARTITION, no_cylinders, GAP_BYTES // SECTOR_BYTES, sectors
    )
    return boot[:446] + entry.ljust(64, b"\0") + b"\x55\xaa"


def _first_start(machine: ThrowawayMachine) -> None:
    """Only where it is the running system's does update-grub know the disk: QEMU starts it this once."""
    names = [path.name for path in sorted(machine.path(f"{ROOT}/boot").iterdir())]
    image = next(name for name in names if name.startswith("vmlinuz-"))
    initrd = next(name for name in names if name.startswith("initrd.img-"))
    kernel = DirectKernel(f"{ROOT}/boot/{image}", f"{ROOT}/boot/{initrd}", "root=/dev/vda1 console=ttyS0")
    with VirtualMachine(machine, [f"file={RAW},format=raw,cache=unsafe"], kernel) as virtual:
        virtual.wait_for_start()
        virtual.do("update-grub", seconds=300)
        virtual.run("systemctl", "poweroff")
        virtual.wait_for_end()
