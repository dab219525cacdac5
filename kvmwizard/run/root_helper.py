"""The only part of kvmwizard that acts as root: one file, the standard library alone.

How it comes to be root. The person agrees to a plan. kvmwizard then starts

    sudo -- /usr/bin/python3 -I -S -c BOOTSTRAP HELPER_SHA256 PLAN_SHA256 RUN_ID

and writes this text and the plan to its standard input. BOOTSTRAP, which stands in the command that
sudo logs, runs this text only if it has the hash named there; this text takes the plan only if it has
the one named there, which the person saw. Who changes a file of kvmwizard's in between gains nothing.

What it does. It leaves the terminal, listens on a socket in /run/kvmwizard that only the invoking
user can connect to, and carries out steps of that plan, named by their id, one at a time. Before
it takes the plan at all it checks every action in it against the lists below: which programs with
which words, which files, which devices, which groups, where what was built may go.

What it never does. It runs no shell, opens no path that a user could have made, follows no link,
trusts nothing of its environment, and runs nothing as root that is not the distribution's own.
Logs, and what was built, come by descriptors that the runner hands over.

It ends when told to, after IDLE_SECONDS without a runner, and after LIFE_SECONDS in any case.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import re
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import IO, Any

PROTOCOL = 1
RUNTIME_DIRECTORY = "/run/kvmwizard"
PACKAGES = "/var/lib/kvmwizard-packages"  # where trees become packages
LIST = "/var/lib/kvmwizard/installed/{}.json"  # of what was installed under a name
LIBRARIES = os.path.realpath("/lib")
"""No link is followed here, and where /usr is merged /lib is one."""
IDLE_SECONDS = 900.0
"""As long as sudo itself remembers a password by default (sudoers(5), timestamp_timeout)."""
LIFE_SECONDS = 86400.0
"""However long somebody stays connected: what was agreed to is not agreed to for ever."""
LOCK_SECONDS = COMMAND_SECONDS = 600.0
DOWNLOAD_SECONDS = 7200.0
TO_ITS_END = float("inf")  # whatever is asked meanwhile
GUEST_SECONDS = 120.0
GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL
LOOK_SECONDS = 0.1
MESSAGE_BYTES = 128 * 1024
PLAN_BYTES = HEAD_BYTES = 4 * 1024 * 1024
FILE_BYTES = 64 * 1024
CONTENT_BYTES = 512 * 1024 * 1024  # of one file of a tree
OUTPUT_BYTES = 16 * 1024
"""Of the guest program; as JSON at most six times as much, which fits into one message."""
CLIENTS = 16
SEQUENCED = (socket.AF_UNIX, socket.SOCK_SEQPACKET)
PROGRESS_DESCRIPTOR = 3  # where commands find the file for the package manager's own progress lines
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""Without /usr/local, which on older Debians the group staff may write to."""
GUEST_SHA256 = "3c474e2e28c49c853b74e7d49a0ef70419497684a8647b2743af26a7e6757df5"
"""Of tiny_guest.py, the only program that is run as somebody else."""

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818  -- a refusal is an answer, not a fault
    """Something that this helper does not do: a code for programs, and a detail for people."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code, self.detail = code, detail


# What a plan may ask for. Everything else refuses the whole plan.

STEP_ID = r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*"
RUN_ID = r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}"
SHA256 = r"[0-9a-f]{64}"
PACKAGE = r"[a-z0-9][a-z0-9+.-]*[a-z0-9.]"
"""Debian policy, section 5.6.7; at the end apt-get takes - for "remove it" and + for "install it"."""
INSTALLED_PACKAGE = r"[a-z0-9][a-z0-9+.-]+"
USER = r"[a-z_][a-z0-9_.-]{0,31}\$?"
GROUP = r"[a-z_][a-z0-9_.-]{0,31}"
NEW_GROUP = "kvm"
"""The only group that is ever made or removed."""
BASE_GROUPS = 100
"""Groups of lower numbers are the distribution's own: sudo, disk, shadow (Debian policy, section 9.2.2)."""
POWERFUL_GROUPS = frozenset({"admin", "docker", "incus-admin", "libvirt", "lxd", "sudo", "wheel"})
"""Groups of higher numbers whose members are, or can make themselves, root."""
MODULE = r"(?:kvm|kvm_(?:intel|amd|pvm|hv)|vhost_(?:net|vsock)|tun|vfio|vfio_pci)"
COMMENT = r"#[ -\[\]-~]*"
FILES = {
    "/etc/modules-load.d/kvmwizard.conf": MODULE,
    "/etc/modprobe.d/kvmwizard.conf": r"options kvm_(?:intel|amd|hv) nested=[01]",
    "/etc/default/grub.d/kvmwizard-boot.cfg": "GRUB_DEFAULT=saved",
    "/etc/default/grub.d/kvmwizard.cfg": (
        r'GRUB_CMDLINE_LINUX_DEFAULT="\$GRUB_CMDLINE_LINUX_DEFAULT (?:intel|amd)_iommu=on"'
    ),
    "/etc/udev/rules.d/99-kvmwizard.rules": (
        rf'KERNEL=="kvm", GROUP="{GROUP}", MODE="0[0-6]{{3}}", OPTIONS\+="static_node=kvm"'
    ),
}
"""What a line may say, beside comments: modprobe, udev and GRUB can all be told to run programs."""
OWN_FILE = "|".join(map(re.escape, FILES))
KVM_DEVICE = "/dev/kvm"
LOCKS = frozenset({"/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"})
OPTION = (
    r"-o (?:DPkg::Lock::Timeout=[0-9]{1,4}|APT::Status-Fd=3|Dpkg::Use-Pty=0"
    r"|APT::Update::Error-Mode=any|Dpkg::Options::=--force-confold)"
)
APT_GET = rf"/usr/bin/apt-get(?: {OPTION})*"
COMMANDS = (
    rf"{APT_GET} -o APT::Cmd::Pattern-Only=true install --yes --no-install-recommends --(?: {PACKAGE})+",
    rf"/usr/bin/dpkg --remove --(?: {INSTALLED_PACKAGE})+",
    rf"{APT_GET} update",
    r"/usr/bin/touch /var/lib/apt/periodic/update-success-stamp",
    rf"/sbin/modprobe (?:-r )?{MODULE}",
    rf"/usr/sbin/groupadd --system --force(?: --gid [0-9]{{1,4}})? {NEW_GROUP}",
    rf"/usr/bin/gpasswd --(?:add|delete) {USER} {GROUP}",
    r"/usr/bin/udevadm (?:control --reload-rules|trigger --name-match=kvm|settle --timeout=[0-9]{1,3})",
    r"/usr/sbin/update-grub",
    r"/usr/bin/grub-editenv /boot/grub/grubenv (?:unset (?:next|saved)_entry|set saved_entry=[\w.+~>:/-]+)",
)
"""Whole commands, their words joined by spaces; no word holds a space itself.

Without Pattern-Only, apt-get takes names unknown to it for regular expressions.
"""
APT, DPKG = "/usr/bin/apt-get", "/usr/bin/dpkg"
PLAIN_NAME = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+@%=~,:][A-Za-z0-9._+@%=~,:-]*"
BELOW = f"(?:/{PLAIN_NAME})"
"""One step down in a tree: letters, digits and a few signs, neither `.` nor `..`, no dash at the front."""
RELEASE = r"[0-9][A-Za-z0-9._+~-]*"
TREE_NAME = r"(?:linux-image|qemu)-[0-9][a-z0-9.+-]*"
PREFIX = f"/|/opt/kvmwizard{BELOW}+|/usr/local{BELOW}*"
VARIABLES = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none"}
VARIABLES["NEEDRESTART_SUSPEND"] = "1"


def require(good: bool, code: str, detail: str = "") -> None:
    """Refuse unless `good`."""
    if not good:
        raise Refused(code, detail)


def matches(pattern: str, value: Any) -> bool:
    """Whether the value is a text that the pattern describes from end to end."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def mode_within(most: int) -> Callable[[Any], bool]:
    """A test for being a mode that allows no more than this one."""
    return lambda value: type(value) is int and value & ~most == 0


def is_command(argv: Any) -> bool:
    """One of COMMANDS."""
    plain = isinstance(argv, list) and all(matches(r"[!-~]+", word) for word in argv)
    return plain and any(matches(shape, " ".join(argv)) for shape in COMMANDS)


ACTIONS: dict[str, dict[str, str | Callable[[Any], bool]]] = {
    "run-command": {
        "argv": is_command,
        "environment": lambda value: isinstance(value, dict) and value.items() <= VARIABLES.items(),
        "locks": lambda value: isinstance(value, list) and LOCKS.issuperset(value),
    },
    "write-file": {
        "path": OWN_FILE,
        "text": lambda value: isinstance(value, str) and len(value) <= FILE_BYTES,
        "mode": mode_within(0o644),
    },
    "remove-file": {"path": OWN_FILE},
    "remove-empty-group": {"group": NEW_GROUP},
    "set-device-group": {"path": KVM_DEVICE, "group": rf"{GROUP}|[0-9]{{1,9}}", "mode": mode_within(0o666)},
    "grant-device-acl": {"path": KVM_DEVICE, "user": USER, "permissions": "[r-][w-]-"},
    "revoke-device-acl": {"path": KVM_DEVICE, "user": USER},
    "run-guest-as": {"user": USER, "program_sha256": GUEST_SHA256},
    "install-tree": {
        "name": TREE_NAME,
        "tree": "kernel|qemu",
        "release": lambda value: value is None or matches(RELEASE, value),
        "prefix": PREFIX,
        "as_package": lambda value: isinstance(value, bool),
        "payload": r"(?s:.*)",  # where the runner finds it; root does not look
        "identity": SHA256,
    },
    "remove-tree": {"name": TREE_NAME},
    "set-next-boot": {"release": RELEASE, "otherwise": RELEASE},
    "set-default-boot": {"release": RELEASE},
}
"""The keys that each kind of action has beside its kind, no fewer and no more; patterns or tests of them."""


def check_action(action: Json) -> None:
    """Refuse what is not one of ACTIONS, and a text that is not all comments and lines as FILES has them."""
    tests = ACTIONS[action["kind"]]
    require(set(action) == tests.keys() | {"kind"}, "action", repr(action)[:500])
    for key, test in tests.items():
        good = matches(test, action[key]) if isinstance(test, str) else test(action[key])
        require(good, "action", f"{key} {action[key]!r}"[:500])
    if "text" in tests:
        line = rf"(?:{FILES[action['path']]}|{COMMENT})?\n"
        require(matches(f"(?:{line})*", action["text"]), "action", action["path"])


def checked_steps(content: bytes, digest: str) -> dict[str, list[Json]]:
    """The actions of root's steps, by the step's id. Refuses any other plan than the agreed one."""
    require(hashlib.sha256(content).hexdigest() == digest, "digest")
    try:
        plan = json.loads(content)
        require(plan["schema_version"] == 1, "schema", str(plan["schema_version"]))
        steps: dict[str, list[Json]] = {}
        for step in plan["steps"]:
            require(matches(STEP_ID, step["id"]) and step["id"] not in steps, "action", str(step["id"]))
            if step["root"] is True:
                steps[step["id"]] = step["actions"]
                for action in step["actions"]:
                    check_action(action)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("plan", repr(error)) from error
    return steps


# Files: reached from / by directory descriptors, following no link.


@contextlib.contextmanager
def directory(path: str, make: bool = False) -> Iterator[int]:
    """A descriptor of a directory that root alone can change, all the way down. Raises Refused, OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    reached = os.open("/", flags)
    try:
        for name in path.split("/")[1:]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=reached)
                    os.fsync(reached)
            above, reached = reached, os.open(name, flags, dir_fd=reached)
            os.close(above)
            status = os.fstat(reached)
            require(status.st_uid == 0 and not status.st_mode & 0o022, "path", path)
        yield reached
    finally:
        os.close(reached)


@contextlib.contextmanager
def opened(path: str, flags: int) -> Iterator[int]:
    """A descriptor of what is under that name, in directories of root's. Raises Refused, OSError."""
    parent, name = os.path.split(path)
    with directory(parent) as place:
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(path: str) -> bytes:
    """What a plain file of root's says. Raises Refused, OSError."""
    with opened(path, os.O_RDONLY) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        status = os.fstat(descriptor)
        require(stat.S_ISREG(status.st_mode) and status.st_uid == 0, "path", path)
        return file.read()


def is_plain_file(place: int, name: str) -> bool:
    """Whether the file is there; refuse where it is anything but a plain file of root's with one name."""
    try:
        status = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    require(stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == 0, "path", name)
    return True


def remove_name(place: int, name: str) -> None:
    """Remove the file, where it is there."""
    if is_plain_file(place, name):
        os.unlink(name, dir_fd=place)


def put(path: str, content: bytes, mode: int, sync: bool = True) -> None:
    """Write the whole file beside its place, then move it there."""
    parent, name = os.path.split(path)
    unfinished = f".{name}.unfinished"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with directory(parent, make=True) as place:
        is_plain_file(place, name)
        remove_name(place, unfinished)
        try:
            with os.fdopen(os.open(unfinished, flags, 0o600, dir_fd=place), "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                if sync:
                    os.fsync(file.fileno())
            os.rename(unfinished, name, src_dir_fd=place, dst_dir_fd=place)
        finally:
            remove_name(place, unfinished)
        if sync:
            os.fsync(place)


def write_file(action: Json) -> None:
    """Write one of FILES."""
    for group in re.findall(rf'GROUP="({GROUP})"', action["text"]):
        group_for_device(group)
    put(action["path"], action["text"].encode(), action["mode"])


def remove_file(action: Json, sync: bool = True) -> None:
    """Remove the file, where it is there, and what a killed `put` left of it."""
    parent, name = os.path.split(action["path"])
    with contextlib.suppress(FileNotFoundError), directory(parent) as place:
        remove_name(place, f".{name}.unfinished")
        remove_name(place, name)
        if sync:
            os.fsync(place)


# Trees: what was built, from the one file that the runner hands over (build/payload.py).

CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: root <root@localhost>
Description: built from source on this machine by kvmwizard
"""
SCRIPT = """\
#!/bin/sh
set -e
export DEB_MAINT_PARAMS="$*" INITRD=Yes
case "$DPKG_MAINTSCRIPT_NAME $1" in
    postinst*) depmod {release} ;;
    prerm*remove) rm -f {libraries}/modules/{release}/modules.* ;;
esac
hooks=/etc/kernel/$DPKG_MAINTSCRIPT_NAME.d
test ! -d $hooks || run-parts --arg={release} --arg=/boot/vmlinuz-{release} $hooks
"""
"""For postinst, prerm and postrm: what a kernel package of the distribution's does, too."""


def checked_head(payload: IO[bytes], digest: str, action: Json) -> list[Any]:
    """[place, mode, size, SHA-256] of every file in the payload. Refuses what does not belong to the tree."""
    head = payload.readline(HEAD_BYTES)
    require(hashlib.sha256(head).hexdigest() == digest, "payload", "its list of files")
    release, prefix = re.escape(str(action["release"])), re.escape(action["prefix"])
    kernel = rf"/boot/(?:vmlinuz|System\.map|config)-{release}|/lib/modules/{release}{BELOW}+"
    entries = [[f"/{path}", mode, size, sha256] for path, mode, size, sha256 in json.loads(head)]
    require(len(entries) > 0, "payload", "no files")
    for entry in entries:
        path, mode, size, sha256 = entry
        good = matches(kernel if prefix == "/" else f"{prefix}{BELOW}+", path) and matches(SHA256, sha256)
        fits = mode_within(0o755)(mode) and type(size) is int and 0 <= size <= CONTENT_BYTES
        require(good and fits, "payload", repr(entry)[:500])
        entry[0] = re.sub("^/lib/", f"{LIBRARIES}/", path)
    return entries


def new_list(action: Json, entries: list[Any], old: Json | None) -> Json:
    """Root's list of what will be installed; refuse to overwrite what is another's, or runs."""
    paths, release = {path for path, *_ in entries}, action["release"]
    ours = {path for path, *_ in old["files"]} if old is not None else set()
    kept = "md5sums" if action["as_package"] else "list"  # the list stays until the package is purged, too
    dpkgs = {f"/var/lib/dpkg/info/{action['name']}.{kept}"} if old is None else set()
    for path in sorted((paths | dpkgs) - ours):
        require(not os.path.lexists(path), "taken", path)
    require((old or {}).get("files") == entries or release != os.uname().release, "running", str(release))
    made = {str(folder) for path in paths for folder in Path(path).parents if not folder.exists()}
    made |= {*(old["folders"] if old is not None else ()), *map(str, list(Path(LIST).parents)[:2])}
    listed = {"identity": action["identity"], "release": release, "package": action["as_package"]}
    return {**listed, "finished": action["as_package"], "files": entries, "folders": sorted(made)}


def read_list(name: str) -> Json | None:
    """What root installed under that name; None where it did not."""
    with contextlib.suppress(FileNotFoundError):
        return dict(json.loads(read_file(LIST.format(name))))
    return None


def take_away(listed: Json) -> list[str]:
    """Remove what is as it was installed, or never was finished, and depmod's lists; what stays."""
    changed = []
    for made in Path(f"{LIBRARIES}/modules/{listed['release']}").glob("modules.*"):
        made.unlink()
    for path, _, _, sha256 in listed["files"]:
        with contextlib.suppress(FileNotFoundError):
            if listed["finished"] and hashlib.sha256(read_file(path)).hexdigest() != sha256:
                changed.append(path)
                continue
        remove_file({"path": path}, sync=False)
    os.sync()
    return changed


def forget(name: str, listed: Json) -> None:
    """Remove the empty ones of the folders that were made for the tree, and the list before its own."""
    for folder in sorted(listed["folders"], key=lambda each: (each.startswith("/var"), -len(each))):
        if folder == str(Path(LIST).parent):
            remove_file({"path": LIST.format(name)})
        if Path(folder).is_dir() and not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def menu_entry(menu: str, release: str) -> str:
    """What GRUB calls this kernel's ordinary entry in the menu that grub-mkconfig wrote."""
    ordinary = rf"^([ \t]*)menuentry .* '(gnulinux-{re.escape(release)}-advanced-[^'>]+)' \{{"
    entry = re.search(ordinary, menu, re.MULTILINE)
    if entry is None:
        raise Refused("menu", release)
    above = re.findall(r"^submenu .* '([^'>]+)' \{", menu[: entry.start()], re.MULTILINE)
    return f"{above[-1]}>{entry[2]}" if entry[1] and above else entry[2]


# The device and who may use it. Its access list: include/uapi/linux/posix_acl_xattr.h and acl(5).

ACL_ATTRIBUTE, ACL_VERSION = "system.posix_acl_access", 2
ACL_HEADER, ACL_ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
OWNER, NAMED_USER, OWNING_GROUP, NAMED_GROUP, MASK, OTHERS = 1, 2, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF
Acl = dict[tuple[int, int], int]  # permissions by tag and id


@contextlib.contextmanager
def device(path: str) -> Iterator[str]:
    """A path that leads to exactly this character device, whatever happens to its name meanwhile."""
    with opened(path, os.O_PATH) as descriptor:
        require(stat.S_ISCHR(os.fstat(descriptor).st_mode), "device", path)
        yield f"/proc/self/fd/{descriptor}"


def mode_entries(mode: int) -> Acl:
    """The entries that every access list has, as a mode sets them."""
    return {(OWNER, NO_ID): mode >> 6 & 7, (OWNING_GROUP, NO_ID): mode >> 3 & 7, (OTHERS, NO_ID): mode & 7}


def read_acl(path: str) -> Acl:
    """The access list, or the one that the mode amounts to."""
    try:
        said = os.getxattr(path, ACL_ATTRIBUTE)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        return mode_entries(Path(path).stat().st_mode)
    require(ACL_HEADER.unpack_from(said) == (ACL_VERSION,), "acl")
    return {(tag, id_): rights for tag, rights, id_ in ACL_ENTRY.iter_unpack(said[ACL_HEADER.size :])}


def write_acl(path: str, acl: Acl) -> None:
    """Set the access list, its mask allowing all that it grants; without named entries it is but a mode."""
    granted = {key: rights for key, rights in acl.items() if key[0] != MASK}
    if not any(tag in (NAMED_USER, NAMED_GROUP) for tag, _ in granted):
        with contextlib.suppress(OSError):
            os.removexattr(path, ACL_ATTRIBUTE)
        owner, group, others = (granted[(tag, NO_ID)] for tag in (OWNER, OWNING_GROUP, OTHERS))
        Path(path).chmod(owner << 6 | group << 3 | others)
        return
    masked = [rights for (tag, _), rights in granted.items() if tag not in (OWNER, OTHERS)]
    granted[(MASK, NO_ID)] = reduce(int.__or__, masked)
    entries = b"".join(ACL_ENTRY.pack(tag, granted[(tag, id_)], id_) for tag, id_ in sorted(granted))
    os.setxattr(path, ACL_ATTRIBUTE, ACL_HEADER.pack(ACL_VERSION) + entries)


def set_device_group(action: Json) -> None:
    """Owning group and mode; where there is an access list, its named entries stay as they are."""
    with device(action["path"]) as path:
        os.chown(path, -1, group_for_device(action["group"]))
        write_acl(path, {**read_acl(path), **mode_entries(action["mode"])})


def set_device_entry(action: Json) -> None:
    """Give the user these permissions, whatever the entry was before; without any, take the entry away."""
    letters, key = action.get("permissions"), (NAMED_USER, account(action["user"]).pw_uid)
    with device(action["path"]) as path:
        acl = {entry: rights for entry, rights in read_acl(path).items() if entry != key}
        if letters is not None:
            acl[key] = ("r" in letters) * 4 + ("w" in letters) * 2
        write_acl(path, acl)


def account(name: str) -> pwd.struct_passwd:
    """The account of an existing user."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Refused("user", name) from None


def group_id(name: str) -> int:
    """The number of an existing group; a number stands for itself."""
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise Refused("group", name) from None


def device_group() -> int | None:
    """The number of the device's owning group; None where there is no device."""
    with contextlib.suppress(FileNotFoundError), device(KVM_DEVICE) as path:
        return Path(path).stat().st_gid
    return None


def group_for_device(name: str) -> int:
    """The number of a group that may have the device. Refuses groups that could be joined only then."""
    number = group_id(name)
    unnamed = not any(group.gr_gid == number for group in grp.getgrall())
    require(name == NEW_GROUP or number < BASE_GROUPS or unnamed or number == device_group(), "group", name)
    return number


def require_guests_group(user: str, name: str) -> None:
    """Let gpasswd change nothing but membership in kvm, or in the group that the device has anyway."""
    account(user)
    number = group_id(name)
    ordinary = number >= BASE_GROUPS and name not in POWERFUL_GROUPS
    good = name == NEW_GROUP or (ordinary and number == device_group())
    require(good and number != 0, "group", name)


# Carrying out one step: in a thread of its own.


class Work:
    """The actions of one step, their output going to the runner's log."""

    def __init__(self, descriptors: Sequence[int], program: str, digest: str) -> None:
        self.log, self.progress, *self.payload = descriptors
        self.program, self.digest = program.encode(), digest
        self.output: str | None = None
        self.stopping = False

    def carry_out(self, actions: Sequence[Json], report: Json) -> None:
        """Every action in turn, up to the first that fails; how it went goes into the report."""
        returncode, code, detail = 0, None, ""
        os.dup2(self.progress, PROGRESS_DESCRIPTOR, inheritable=True)
        hands: dict[str, Callable[[Json], None]] = {"write-file": write_file, "remove-file": remove_file}
        hands |= {"grant-device-acl": set_device_entry, "revoke-device-acl": set_device_entry}
        hands |= {"set-device-group": set_device_group, "remove-empty-group": self._remove_group}
        hands |= {"run-command": self._run_command, "run-guest-as": self._run_guest}
        hands |= {"install-tree": self._install_tree, "remove-tree": self._remove_tree}
        hands |= {"set-next-boot": self._set_boot, "set-default-boot": self._set_boot}
        try:
            for action in actions:
                require(not self.stopping, "stopped")
                if action["kind"] != "run-command":
                    self.say(f"+ {json.dumps({name: action[name] for name in action if name != 'text'})}")
                hands[action["kind"]](action)
        except Refused as refused:
            code, detail = refused.code, refused.detail
        except subprocess.CalledProcessError as failed:
            returncode = failed.returncode
        except OSError as error:
            code, detail = "system", str(error)
        except BaseException as error:  # noqa: BLE001  -- the runner must learn of anything that goes wrong here
            code, detail = "fault", repr(error)
        for descriptor in (self.log, self.progress, *self.payload):
            os.close(descriptor)
        report["outcome"] = {"returncode": returncode, "code": code, "detail": detail, "output": self.output}

    def say(self, line: str) -> None:
        """One line of ours in the log."""
        with contextlib.suppress(OSError):
            os.write(self.log, line.encode(errors="backslashreplace") + b"\n")

    def run(self, argv: Sequence[str], seconds: float = COMMAND_SECONDS, **options: Any) -> None:
        """Run a command; end it on a stop or after `seconds`. Raises Refused, OSError, CalledProcessError."""
        self.say("+ " + " ".join(argv))
        usual: Json = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log, "cwd": "/"}
        usual |= {"env": ENVIRONMENT, "pass_fds": (PROGRESS_DESCRIPTOR,), "start_new_session": True}
        process = subprocess.Popen(argv, **{**usual, **options})
        deadline = time.monotonic() + seconds
        while process.poll() is None:
            time.sleep(LOOK_SECONDS)
            if seconds != TO_ITS_END and (self.stopping or time.monotonic() > deadline):
                end_group(process)
                raise Refused("stopped" if self.stopping else "timed-out", f"{seconds:.0f}")
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, argv)

    def _run_command(self, action: Json) -> None:
        argv, environment = action["argv"], {**ENVIRONMENT, **action["environment"]}
        if argv[0] == "/usr/bin/gpasswd":
            require_guests_group(*argv[2:])
        if argv[0] == APT and "install" in argv:
            # What a stop may cut off is a command of its own: packages half unpacked are worse than a wait.
            self._change_packages([APT, "--download-only", *argv[1:]], DOWNLOAD_SECONDS)
        if argv[0] == DPKG or (argv[0] == APT and "install" in argv):
            return self._change_packages(argv)
        for path in action["locks"]:
            self._wait_for_lock(path)
        return self.run(argv, env=environment)

    def _change_packages(self, argv: Sequence[str], seconds: float = TO_ITS_END) -> None:
        """Once nobody else is at it, finish what an interrupted dpkg left, then do this."""
        environment = {**ENVIRONMENT, **VARIABLES}
        for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"):
            self._wait_for_lock(path)
        # Numbered files are apt's own sign of it (CheckUpdates).
        if any(entry.name.isdigit() for entry in Path("/var/lib/dpkg/updates").glob("*")):
            self.say("A package operation was interrupted earlier; it is finished first.")
            try:
                self.run([DPKG, "--force-confold", "--configure", "-a"], TO_ITS_END, env=environment)
            except subprocess.CalledProcessError as failed:
                raise Refused("repair", f"dpkg returned {failed.returncode}") from None
        self.run(argv, seconds, env=environment)

    def _wait_for_lock(self, path: str) -> None:
        """Wait until nobody holds the lock, saying in apt's own words who does."""
        deadline, said = time.monotonic() + LOCK_SECONDS, -1
        while (holder := lock_holder(path)) is not None:
            if holder != said:
                name = Path(f"/proc/{holder}/comm")
                with contextlib.suppress(OSError):
                    told = name.read_text(errors="replace").strip() if name.exists() else "?"
                    lock = f"Waiting for cache lock: Could not get lock {path}."
                    self.say(f"{lock} It is held by process {holder} ({told})")
                    said = holder
            require(not self.stopping, "stopped")
            require(time.monotonic() < deadline, "lock", path)
            time.sleep(LOOK_SECONDS)

    def _remove_group(self, action: Json) -> None:
        """Remove a group that nobody is in or has as their own."""
        group = grp.getgrgid(group_id(action["group"]))
        owners = [entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == group.gr_gid]
        members = ", ".join([*group.gr_mem, *owners])
        require(not members and group.gr_gid != 0, "members", f"{group.gr_name}: {members}")
        self.run(["/usr/sbin/groupdel", group.gr_name])

    def _run_guest(self, action: Json) -> None:
        """Run the program whose hash the plan names, as the user, with the groups of their next login."""
        require(hashlib.sha256(self.program).hexdigest() == action["program_sha256"], "program")
        user = account(action["user"])
        source, output = os.memfd_create("program"), os.memfd_create("output")
        os.pwrite(source, self.program, 0)
        options: Json = {"stdin": source, "stdout": output, "pass_fds": (), "user": user.pw_uid}
        options |= {"group": user.pw_gid, "extra_groups": os.getgrouplist(user.pw_name, user.pw_gid)}
        try:
            self.run([sys.executable, "-I", "-S", "-"], GUEST_SECONDS, **options)
        finally:
            self.output = os.pread(output, OUTPUT_BYTES, 0).decode(errors="replace")
            self.say(self.output.rstrip())

    def _install_tree(self, action: Json) -> None:
        """Put the payload's files in place, each only after its hash was found right."""
        name, package = action["name"], action["as_package"]
        old, folder = read_list(name), f"{PACKAGES}/{name}" if package else ""
        with os.fdopen(self.payload[0], "rb", closefd=False) as payload:
            entries = checked_head(payload, self.digest, action)
            listed = new_list(action, entries, old)
            if old is not None and any(old[key] != listed[key] for key in ("files", "package")):
                self._remove_tree(action)
                old = None
            shutil.rmtree(PACKAGES, ignore_errors=True)
            try:
                put(folder + LIST.format(name), json.dumps(listed).encode(), 0o644)
                for path, mode, size, sha256 in entries:
                    require(not self.stopping, "stopped")
                    text = payload.read(size)
                    require(hashlib.sha256(text).hexdigest() == sha256, "payload", path)
                    put(folder + path, text, mode, sync=False)
                if package:
                    return self._install_package(action, folder)
            except BaseException:
                if not package and old is None:
                    take_away(listed)
                    forget(name, listed)
                raise
            finally:
                shutil.rmtree(PACKAGES, ignore_errors=True)
        os.sync()
        self._run_hooks(action["release"], "postinst")
        return put(LIST.format(name), json.dumps({**listed, "finished": True}).encode(), 0o644)

    def _install_package(self, action: Json, folder: str) -> None:
        """Make a package of the folder, with scripts of our own text alone, and have dpkg install it."""
        name, release = action["name"], action["release"]
        architecture = subprocess.check_output([DPKG, "--print-architecture"], env=ENVIRONMENT, text=True)
        version = re.sub(r"[^0-9]*-([0-9][a-z0-9.+]*).*", r"\1", name)
        control = CONTROL.format(name=name, version=version, architecture=architecture.strip())
        put(f"{folder}/DEBIAN/control", control.encode(), 0o644)
        script = SCRIPT.format(release=release, libraries=LIBRARIES).encode()
        for moment in ("postinst", "prerm", "postrm") if release is not None else ():
            put(f"{folder}/DEBIAN/{moment}", script, 0o755)
        self.run(["/usr/bin/dpkg-deb", "--root-owner-group", "-Znone", "--build", folder, f"{folder}.deb"])
        self._change_packages([DPKG, "--install", f"{folder}.deb"])

    def _remove_tree(self, action: Json) -> None:
        """Remove what is on root's list, with the hooks of a kernel's removal; never the kernel that runs."""
        name, listed = action["name"], read_list(action["name"])
        if listed is None:
            return remove_file({"path": LIST.format(name)})
        require(listed["release"] != os.uname().release, "running", str(listed["release"]))
        if listed["package"]:
            return self._change_packages([DPKG, "--purge", name])
        self._run_hooks(listed["release"], "prerm")
        for path in take_away(listed):
            self.say(f"{path} was changed since it was installed, so it stays.")
        self._run_hooks(listed["release"], "postrm")
        return forget(name, listed)

    def _run_hooks(self, release: str | None, moment: str) -> None:
        """What SCRIPT does for a package."""
        hooks = f"/etc/kernel/{moment}.d"
        if release is not None and moment == "postinst":
            self.run(["/sbin/depmod", release])
        if release is not None and Path(hooks).is_dir():
            self.run(["/bin/run-parts", f"--arg={release}", f"--arg=/boot/vmlinuz-{release}", hooks])

    def _set_boot(self, action: Json) -> None:
        menu, release = read_file("/boot/grub/grub.cfg").decode(errors="replace"), action["release"]
        entry, otherwise = menu_entry(menu, release), action.get("otherwise")
        default = entry if otherwise is None else menu_entry(menu, otherwise)
        require(otherwise is not None or release == os.uname().release, "not-running", release)
        self.run(["/usr/sbin/grub-set-default", default])
        if otherwise is not None:
            self.run(["/usr/sbin/grub-reboot", entry])


def lock_holder(path: str) -> int | None:
    """Which process holds the fcntl lock on a file of root's; None where nobody does."""
    question = struct.pack("@hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with opened(path, os.O_RDWR) as descriptor:
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
    except FileNotFoundError:
        return None
    kind, _, _, _, holder = struct.unpack("@hhqqi", answer)
    return None if kind == fcntl.F_UNLCK else holder


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole group, and SIGKILL to what is left of it later."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# Listening to the runner.


class Helper:
    """Serves the runner of one run until it is told to end, or nobody has come for a while."""

    def __init__(self, steps: dict[str, list[Json]], digest: str, run_id: str, user: int) -> None:
        self._actions, self._digest, self._run_id, self._user = steps, digest, run_id, user
        self._reports: dict[str, Json] = {}
        self._clients: dict[socket.socket, tuple[int, int, int]] = {}
        self._thread, self._work = threading.Thread(), Work([-1, -1], "", "")
        self._ending = False
        self._quiet_since = self._born = time.monotonic()

    def serve(self, listener: socket.socket) -> None:
        """Answer requests, while steps are worked at in threads of their own, one at a time."""
        outlive_session(f"kvmwizard-{self._run_id}-root-helper", os.getpid(), 0)
        listener.setblocking(False)
        while not self._over():
            for ready in select.select([listener, *self._clients], [], [], 1.0)[0]:
                if ready is listener:
                    self._welcome(listener)
                elif ready in self._clients:
                    self._hear(ready)

    def _over(self) -> bool:
        now = time.monotonic()
        if self._clients or self._thread.is_alive():
            self._quiet_since = now
        over = self._ending or now - self._quiet_since > IDLE_SECONDS or now - self._born > LIFE_SECONDS
        return over and not self._thread.is_alive()

    def _welcome(self, listener: socket.socket) -> None:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        client.setblocking(False)
        # Process, user and group of the other side, as the kernel says (unix(7)).
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self._clients[client] = struct.unpack("3i", credentials)
        if self._clients[client][1] != self._user:
            self._part(client, "peer")
        elif len(self._clients) > CLIENTS:
            self._part(client, "busy")

    def _hear(self, client: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            said, descriptors, flags, _ = socket.recv_fds(client, MESSAGE_BYTES, 4, socket.MSG_CMSG_CLOEXEC)
            if not said:
                return self._part(client)
            require(not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "request", "too long")
            self._answer(client, json.loads(said), descriptors)
        except Refused as refused:
            self._tell(client, {"refused": refused.code, "detail": refused.detail})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._tell(client, {"refused": "request", "detail": repr(error)})
        except OSError:
            self._part(client)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _answer(self, client: socket.socket, request: Json, descriptors: list[int]) -> None:
        verb = request["verb"]
        if verb == "hello":
            if request.get("stay") is True:
                outlive_session(f"kvmwizard-{self._run_id}-runner", self._clients[client][0], self._user)
            greeting = {"protocol": PROTOCOL, "plan": self._digest, "run": self._run_id}
            self._tell(client, {**greeting, "steps": [*self._reports.values()]})
        elif verb == "do":
            self._begin(client, request, descriptors)
        elif verb == "stop":
            self._work.stopping = True
            self._tell(client, {"stopping": self._thread.is_alive()})
        elif verb == "end":
            self._ending = True
            self._tell(client, {"ending": True})
        else:
            raise Refused("request", str(verb))

    def _begin(self, client: socket.socket, request: Json, descriptors: list[int]) -> None:
        step_id, attempt = request["step"], request["attempt"]
        program, digest = request.get("program", ""), request.get("payload", "")
        require(isinstance(step_id, str) and step_id in self._actions, "unknown-step", str(step_id))
        good = isinstance(program, str) and isinstance(digest, str) and type(attempt) is int
        require(good and attempt > 0, "request", "program, payload or attempt")
        installs = any(action["kind"] == "install-tree" for action in self._actions[step_id])
        require(not self._thread.is_alive() and not self._ending, "busy")
        require(attempt > self._reports.get(step_id, {"attempt": 0})["attempt"], "done-already", step_id)
        require(len(descriptors) == 2 + installs, "descriptors", str(len(descriptors)))
        plain = all(stat.S_ISREG(os.fstat(each).st_mode) for each in descriptors)
        require(plain, "descriptors", "no plain file")
        for descriptor in descriptors[:2]:
            self._require_users_own(descriptor)
        self._work = Work([os.dup(descriptor) for descriptor in descriptors], program, digest)
        report = self._reports[step_id] = {"step": step_id, "attempt": attempt, "outcome": None}
        self._thread = threading.Thread(target=self._work.carry_out, args=(self._actions[step_id], report))
        self._thread.start()
        self._tell(client, {"accepted": step_id})

    def _require_users_own(self, descriptor: int) -> None:
        """Only the user's own plain file, open for appending: what the user could write anyway."""
        # File systems without blocks are the kernel's own, as /proc, whose files act on who writes.
        status = os.fstat(descriptor)
        theirs = status.st_uid == self._user and os.fstatvfs(descriptor).f_blocks > 0
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        appending = flags & os.O_APPEND and flags & os.O_ACCMODE == os.O_WRONLY
        require(theirs and bool(appending), "descriptors", "not a plain file of yours, open for appending")

    def _tell(self, client: socket.socket, answer: Json) -> None:
        with contextlib.suppress(OSError):
            client.send(json.dumps(answer).encode("ascii"))

    def _part(self, client: socket.socket, refused: str | None = None) -> None:
        if refused is not None:
            self._tell(client, {"refused": refused})
        del self._clients[client]
        client.close()


# Starting.


def socket_path(user: int, run_id: str) -> str:
    """Where the helper of this user's run listens."""
    return f"{RUNTIME_DIRECTORY}/{user}-{run_id}.socket"


def listen(user: int, run_id: str) -> socket.socket | None:
    """The socket, which only this user can connect to; None where a helper of this run listens already."""
    path = socket_path(user, run_id)
    with directory(RUNTIME_DIRECTORY, make=True), socket.socket(*SEQUENCED) as other:
        answer = other.connect_ex(path)
    if answer == 0:
        return None
    if answer == errno.ECONNREFUSED:
        Path(path).unlink()
    listener = socket.socket(*SEQUENCED)
    os.umask(0o177)
    listener.bind(path)
    os.umask(0o022)
    os.chown(path, user, 0)
    listener.listen(CLIENTS)
    return listener


def leave_terminal() -> bool:
    """Become a process of no terminal and nobody's session; True in that process, False in the first."""
    reading, writing = os.pipe()
    if os.fork() > 0:
        os.close(writing)
        os.read(reading, 1)
        return False
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(PROGRESS_DESCRIPTOR):
        os.dup2(null, number)
    os.write(writing, b"+")
    os.close(writing)
    return True


def outlive_session(name: str, process: int, user: int) -> None:
    """Move a user's process out of its login session into a scope, as systemd-run --scope does.

    Only that helps where logind ends what a session leaves behind (logind.conf(5), KillUserProcesses).
    """
    manager = "org.freedesktop.systemd1"
    argv = ["/usr/bin/busctl", "call", manager, "/org/freedesktop/systemd1", f"{manager}.Manager"]
    argv += ["StartTransientUnit", "ssa(sv)a(sa(sv))", f"{name}-{process}.scope", "fail"]
    argv += ["1", "PIDs", "au", "1", str(process), "0"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # Whose process has ended by now, its number may be another's.
        theirs = Path(f"/proc/{process}").stat().st_uid == user
        if theirs and Path("/run/systemd/system").is_dir():
            subprocess.run(argv, env=ENVIRONMENT, capture_output=True, timeout=GRACE_SECONDS, check=False)


def clean_surroundings() -> None:
    """Nothing of the caller's but the user's number counts: environment, folder, mask, signals, limits.

    With the caller's limit on the size of files dpkg would be killed amid its work; with SIGCHLD
    ignored every command would seem to have succeeded.
    """
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    os.chdir("/")
    os.umask(0o022)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        ignored = number in (signal.SIGHUP, signal.SIGPIPE)
        signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    unlimited = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)
    limits = {**dict.fromkeys(unlimited, resource.RLIM_INFINITY), resource.RLIMIT_NOFILE: 4096}
    for limit, wanted in {**limits, resource.RLIMIT_CORE: 0}.items():
        most = resource.getrlimit(limit)[1]
        # In a container even root may lack the right to more than the hard limit.
        for value in (most, wanted):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(limit, (value, value))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0", encoding="ascii")
    # The progress descriptor is taken, so that nothing of ours ever gets its number.
    while os.open("/dev/null", os.O_RDWR) < PROGRESS_DESCRIPTOR:
        pass


def main() -> int:
    """Take the plan from standard input, answer on standard output, and serve."""
    try:
        plan_digest, run_id = sys.argv[1:]
        require(os.geteuid() == 0, "not-root")
        require(matches(RUN_ID, run_id) and matches(SHA256, plan_digest), "arguments")
        # sudo alone sets this variable here; root that calls without sudo is itself the user.
        user = int(os.environ.get("SUDO_UID", "0"))
        clean_surroundings()
        content = sys.stdin.buffer.read(PLAN_BYTES)
        steps = checked_steps(content, plan_digest)
        listener = listen(user, run_id)
    except (Refused, ValueError, OSError) as error:
        refused = error if isinstance(error, Refused) else Refused("system", str(error))
        sys.stdout.write(json.dumps({"refused": refused.code, "detail": refused.detail}) + "\n")
        return 1
    if listener is not None and leave_terminal():
        try:
            Helper(steps, plan_digest, run_id, user).serve(listener)
        finally:
            Path(socket_path(user, run_id)).unlink(missing_ok=True)
        return 0
    sys.stdout.write(json.dumps({"listening": socket_path(user, run_id)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
