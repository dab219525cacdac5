"""The only part of kvmwizard that acts as root: one file, the standard library alone.

How it comes to be root. The person agrees to a plan. kvmwizard then starts

    sudo -- /usr/bin/python3 -I -S -c BOOTSTRAP HELPER_SHA256 PLAN_SHA256 RUN_ID

and writes this text and the plan to its standard input. BOOTSTRAP, which
stands in the command that sudo logs, runs this text only if it has the hash
named there; this text takes the plan only if it has the hash named there, which
is the one the person saw. Whoever could change a file of kvmwizard's in between
gains nothing.

What it does. It leaves the terminal, listens on a socket in /run/kvmwizard that
only the invoking user can connect to, and carries out steps of that plan, named
by their id, one at a time. Before it takes the plan at all it checks every
action in it against the lists below: which programs with which words, which
files, which devices, which groups.

What it never does. It runs no shell, opens no path that a user could have made,
follows no link, trusts nothing of its environment, and runs nothing as root
that is not the distribution's own. Logs are written to descriptors that the
runner hands over, which must be the runner's user's own plain files.

It ends when it is told to, after IDLE_SECONDS without a runner, and in any case
after LIFE_SECONDS.
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
import secrets
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path
from typing import Any, NoReturn

PROTOCOL = 1
RUNTIME_DIRECTORY = "/run/kvmwizard"
IDLE_SECONDS = 900.0
"""As long as sudo itself remembers a password by default (sudoers(5), timestamp_timeout)."""
LIFE_SECONDS = 86400.0
"""However long somebody stays connected: what was agreed to is not agreed to for ever."""
LOCK_SECONDS = 600.0
COMMAND_SECONDS = 600.0
PACKAGE_SECONDS = 7200.0
GUEST_SECONDS = 120.0
GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL
LOOK_SECONDS = 0.1
MESSAGE_BYTES = 128 * 1024
PLAN_BYTES = 4 * 1024 * 1024
FILE_BYTES = 64 * 1024
OUTPUT_BYTES = 16 * 1024
"""Of the guest program; as JSON at most six times as much, which fits into one message."""
CLIENTS = 16
PROGRESS_DESCRIPTOR = 3
"""Where commands find the file for the package manager's own progress lines."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""Without /usr/local, which on older Debians the group staff may write to."""
GUEST_SHA256 = "3c474e2e28c49c853b74e7d49a0ef70419497684a8647b2743af26a7e6757df5"
"""Of tiny_guest.py, the only program that is run as somebody else."""

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818  -- a refusal is an answer, not a fault
    """Something that this helper does not do: a code for programs, and a detail for people."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


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
    "/etc/default/grub.d/kvmwizard.cfg": (
        r'GRUB_CMDLINE_LINUX_DEFAULT="\$GRUB_CMDLINE_LINUX_DEFAULT (?:intel|amd)_iommu=on"'
    ),
    "/etc/udev/rules.d/99-kvmwizard.rules": (
        rf'KERNEL=="kvm", GROUP="{GROUP}", MODE="0[0-6]{{3}}", OPTIONS\+="static_node=kvm"'
    ),
}
"""What a line may say, beside comments: modprobe, udev and GRUB can all be told to run programs."""
KVM_DEVICE = "/dev/kvm"
LOCKS = frozenset({"/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"})

OPTION = (
    r"-o (?:DPkg::Lock::Timeout=[0-9]{1,4}|APT::Status-Fd=3|Dpkg::Use-Pty=0"
    r"|APT::Update::Error-Mode=any|Dpkg::Options::=--force-confold)"
)
APT_GET = rf"/usr/bin/apt-get(?: {OPTION})*"
PACKAGE_OPERATIONS = (
    rf"{APT_GET} -o APT::Cmd::Pattern-Only=true install --yes --no-install-recommends --(?: {PACKAGE})+",
    rf"/usr/bin/dpkg --remove --(?: {INSTALLED_PACKAGE})+",
)
"""Not to be cut off. Without Pattern-Only, apt-get takes names unknown to it for regular expressions."""
REPAIR = ["/usr/bin/dpkg", "--force-confold", "--configure", "-a"]
COMMANDS = (
    *PACKAGE_OPERATIONS,
    rf"{APT_GET} update",
    r"/usr/bin/touch /var/lib/apt/periodic/update-success-stamp",
    rf"/sbin/modprobe (?:-r )?{MODULE}",
    rf"/usr/sbin/groupadd --system --force(?: --gid [0-9]{{1,4}})? {NEW_GROUP}",
    rf"/usr/bin/gpasswd --(?:add|delete) {USER} {GROUP}",
    r"/usr/bin/udevadm control --reload-rules",
    r"/usr/bin/udevadm trigger --name-match=kvm",
    r"/usr/bin/udevadm settle --timeout=[0-9]{1,3}",
    r"/usr/sbin/update-grub",
)
"""Whole commands, their words joined by spaces; no word holds a space itself."""
VARIABLES = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
}


def require(good: bool, code: str, detail: str = "") -> None:
    """Refuse unless `good`."""
    if not good:
        raise Refused(code, detail)


def matches(pattern: str, value: Any) -> bool:
    """Whether the value is a text that the pattern describes from end to end."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def one_of(values: Collection[str]) -> Callable[[Any], bool]:
    """A test for being one of these texts."""
    return lambda value: isinstance(value, str) and value in values


def mode_within(most: int) -> Callable[[Any], bool]:
    """A test for being a mode that allows no more than this one."""
    return lambda value: type(value) is int and value & ~most == 0


def is_command(argv: Any) -> bool:
    """One of COMMANDS."""
    plain = isinstance(argv, list) and all(matches(r"[!-~]+", word) for word in argv)
    return plain and any(matches(shape, " ".join(argv)) for shape in COMMANDS)


DEVICE = {"path": one_of({KVM_DEVICE})}
PERSON = {"user": partial(matches, USER)}
ACTIONS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "run-command": {
        "argv": is_command,
        "environment": lambda value: isinstance(value, dict) and value.items() <= VARIABLES.items(),
        "locks": lambda value: isinstance(value, list) and LOCKS.issuperset(value),
    },
    "write-file": {
        "path": one_of(FILES),
        "text": lambda value: isinstance(value, str) and len(value) <= FILE_BYTES,
        "mode": mode_within(0o644),
    },
    "remove-file": {"path": one_of(FILES)},
    "remove-empty-group": {"group": one_of({NEW_GROUP})},
    "set-device-group": {
        **DEVICE,
        "group": partial(matches, rf"{GROUP}|[0-9]{{1,9}}"),
        "mode": mode_within(0o666),
    },
    "grant-device-acl": {**DEVICE, **PERSON, "permissions": partial(matches, "[r-][w-]-")},
    "revoke-device-acl": {**DEVICE, **PERSON},
    "run-guest-as": {**PERSON, "program_sha256": one_of({GUEST_SHA256})},
}
"""The keys that each kind of action has beside its kind, no fewer and no more, and their tests."""


def check_action(action: Json) -> None:
    """Refuse what is not one of ACTIONS, and a text that is not all comments and lines as FILES has them."""
    tests = ACTIONS[action["kind"]]
    require(set(action) == tests.keys() | {"kind"}, "action", repr(action)[:500])
    for key, test in tests.items():
        require(test(action[key]), "action", f"{key} {action[key]!r}"[:500])
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
    with contextlib.ExitStack() as opened:
        reached = os.open("/", flags)
        opened.callback(os.close, reached)
        for name in path.split("/")[1:]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=reached)
                    os.fsync(reached)
            reached = os.open(name, flags, dir_fd=reached)
            opened.callback(os.close, reached)
            status = os.fstat(reached)
            require(status.st_uid == 0 and not status.st_mode & 0o022, "path", path)
        yield reached


def require_plain_file(parent: int, name: str, path: str) -> bool:
    """Whether the file is there; refuse where it is anything but a plain file of root's with one name."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == 0
    require(plain, "path", path)
    return True


def write_file(action: Json) -> None:
    """Write the whole file beside its place, then move it there."""
    for group in re.findall(rf'GROUP="({GROUP})"', action["text"]):
        group_for_device(group)
    parent, name = os.path.split(action["path"])
    unfinished = f".{name}.{secrets.token_hex(8)}.unfinished"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with directory(parent, make=True) as place:
        require_plain_file(place, name, action["path"])
        try:
            with os.fdopen(os.open(unfinished, flags, 0o600, dir_fd=place), "wb") as file:
                file.write(action["text"].encode())
                file.flush()
                os.fchmod(file.fileno(), action["mode"])
                os.fsync(file.fileno())
            os.rename(unfinished, name, src_dir_fd=place, dst_dir_fd=place)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished, dir_fd=place)
            raise
        os.fsync(place)


def remove_file(action: Json) -> None:
    """Remove the file, where it is there."""
    parent, name = os.path.split(action["path"])
    with contextlib.suppress(FileNotFoundError), directory(parent) as place:
        if require_plain_file(place, name, action["path"]):
            os.unlink(name, dir_fd=place)
            os.fsync(place)


# The device. Its access list: include/uapi/linux/posix_acl_xattr.h and acl(5).

ACL_ATTRIBUTE = "system.posix_acl_access"
ACL_HEADER = struct.Struct("<I")
ACL_ENTRY = struct.Struct("<HHI")
ACL_VERSION = 2
OWNER, NAMED_USER, OWNING_GROUP, NAMED_GROUP, MASK, OTHERS = 1, 2, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF

Acl = dict[tuple[int, int], int]  # permissions by tag and id


@contextlib.contextmanager
def device(path: str) -> Iterator[str]:
    """A path that leads to exactly this character device, whatever happens to its name meanwhile."""
    parent, name = os.path.split(path)
    with directory(parent) as place:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    try:
        require(stat.S_ISCHR(os.fstat(descriptor).st_mode), "device", path)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def mode_entries(mode: int) -> Acl:
    """The entries that every access list has, as a mode sets them."""
    return {(OWNER, NO_ID): mode >> 6 & 7, (OWNING_GROUP, NO_ID): mode >> 3 & 7, (OTHERS, NO_ID): mode & 7}


def read_acl(path: str) -> Acl:
    """The access list, or the one that the mode amounts to."""
    try:
        content = os.getxattr(path, ACL_ATTRIBUTE)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        return mode_entries(Path(path).stat().st_mode)
    require(ACL_HEADER.unpack_from(content) == (ACL_VERSION,), "acl")
    return {(tag, id_): rights for tag, rights, id_ in ACL_ENTRY.iter_unpack(content[ACL_HEADER.size :])}


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


def grant_device_acl(action: Json) -> None:
    """Give the user these permissions, whatever the entry was before."""
    letters = action["permissions"]
    set_entry(action["path"], action["user"], ("r" in letters) * 4 + ("w" in letters) * 2)


def revoke_device_acl(action: Json) -> None:
    """Take the user's entry away, where there is one; a device that is gone needs nothing."""
    with contextlib.suppress(FileNotFoundError):
        set_entry(action["path"], action["user"], None)


def set_entry(path: str, user: str, rights: int | None) -> None:
    """The user's entry in the device's access list; None takes it out."""
    key = (NAMED_USER, account(user).pw_uid)
    with device(path) as held:
        acl = {entry: each for entry, each in read_acl(held).items() if entry != key}
        write_acl(held, acl if rights is None else {**acl, key: rights})


# People


def account(name: str) -> pwd.struct_passwd:
    """The account of an existing user."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Refused("user", name) from None


def group_id(name: str) -> int:
    """The number of an existing group; a number stands for itself."""
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
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
    good = name == NEW_GROUP or number < BASE_GROUPS or unnamed or number == device_group()
    require(good, "group", name)
    return number


def require_guests_group(argv: Sequence[str]) -> None:
    """Let gpasswd change nothing but membership in kvm, or in the group that the device has anyway."""
    if argv[0] == "/usr/bin/gpasswd":
        user, name = argv[2:]
        account(user)
        number = group_id(name)
        ordinary = number >= BASE_GROUPS and name not in POWERFUL_GROUPS
        good = name == NEW_GROUP or (ordinary and number == device_group())
        require(good and number != 0, "group", name)


def require_empty(name: str) -> None:
    """Refuse a group that somebody is in or has as their own."""
    group = grp.getgrgid(group_id(name))
    users = [*group.gr_mem, *(entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == group.gr_gid)]
    require(not users and group.gr_gid != 0, "members", f"{group.gr_name}: {', '.join(users)}")


# Carrying out one step: in a process of its own, forked from the helper.


class Work:
    """The actions of one step, their output going to the runner's log."""

    def __init__(self, log: int, program: bytes) -> None:
        self.log = log
        self.program = program
        self.output: str | None = None
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)

    def carry_out(self, actions: Sequence[Json]) -> Json:
        """Every action in turn, up to the first that fails; how it went."""
        returncode, code, detail = 0, None, ""
        try:
            for action in actions:
                require(not self.stopping, "stopped")
                returncode = self._act(action)
                if returncode != 0:
                    break
        except Refused as refused:
            code, detail = refused.code, refused.detail
        except OSError as error:
            code, detail = "system", str(error)
        return {"returncode": returncode, "code": code, "detail": detail, "output": self.output}

    def say(self, line: str) -> None:
        """One line of ours in the log."""
        with contextlib.suppress(OSError):
            os.write(self.log, line.encode(errors="backslashreplace") + b"\n")

    def run(self, argv: Sequence[str], environment: dict[str, str], seconds: float) -> int:
        """Run a command to its end; its exit code, or minus the signal's number."""
        self.say("+ " + " ".join(argv))
        environment = {**ENVIRONMENT, **environment}
        kept = (PROGRESS_DESCRIPTOR,)
        process = self._start(argv, stdin=subprocess.DEVNULL, stdout=self.log, env=environment, pass_fds=kept)
        return self._wait(process, seconds, careful=is_package_operation(argv))

    def _start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(argv, stderr=self.log, cwd="/", start_new_session=True, **options)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _act(self, action: Json) -> int:
        kind = action["kind"]
        if kind == "run-command":
            return self._run_command(action)
        if kind == "run-guest-as":
            return self._run_guest(action)
        if kind == "remove-empty-group":
            require_empty(action["group"])
            return self.run(["/usr/sbin/groupdel", action["group"]], {}, COMMAND_SECONDS)
        shown = {name: value for name, value in action.items() if name not in ("kind", "text")}
        self.say(f"+ {kind} {json.dumps(shown)}")
        hands = {"write-file": write_file, "remove-file": remove_file, "set-device-group": set_device_group}
        hands |= {"grant-device-acl": grant_device_acl, "revoke-device-acl": revoke_device_acl}
        hands[kind](action)
        return 0

    def _run_command(self, action: Json) -> int:
        argv = action["argv"]
        require_guests_group(argv)
        package_operation = is_package_operation(argv)
        if package_operation:
            self._repair_packages()
        for path in action["locks"]:
            self._wait_for_lock(path)
        seconds = PACKAGE_SECONDS if package_operation else COMMAND_SECONDS
        return self.run(argv, action["environment"], seconds)

    def _repair_packages(self) -> None:
        """Finish what an interrupted dpkg left; numbered files are apt's own sign of it (CheckUpdates)."""
        if not any(entry.name.isdigit() for entry in Path("/var/lib/dpkg/updates").glob("*")):
            return
        for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"):
            self._wait_for_lock(path)
        self.say("A package operation was interrupted earlier; it is finished first.")
        returncode = self.run(REPAIR, VARIABLES, PACKAGE_SECONDS)
        require(returncode == 0, "repair", f"dpkg returned {returncode}")

    def _wait_for_lock(self, path: str) -> None:
        """Wait until nobody holds the lock, saying in apt's own words who does."""
        deadline = time.monotonic() + LOCK_SECONDS
        said = None
        while True:
            holder = lock_holder(path)
            if holder is None:
                return
            if holder != said:
                self.say(
                    f"Waiting for cache lock: Could not get lock {path}. "
                    f"It is held by process {holder} ({told(holder, 'comm') or '?'})"
                )
                said = holder
            require(not self.stopping, "stopped")
            require(time.monotonic() < deadline, "lock", path)
            time.sleep(LOOK_SECONDS)

    def _run_guest(self, action: Json) -> int:
        """Run the program whose hash the plan names, as the user, with the groups of their next login."""
        require(hashlib.sha256(self.program).hexdigest() == action["program_sha256"], "program")
        user = account(action["user"])
        self.say(f"+ run-guest-as {user.pw_name}")
        source, output = os.memfd_create("program"), os.memfd_create("output")
        os.pwrite(source, self.program, 0)
        process = self._start(
            [sys.executable, "-I", "-S", "-"],
            stdin=source,
            stdout=output,
            env=ENVIRONMENT,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=os.getgrouplist(user.pw_name, user.pw_gid),
        )
        returncode = self._wait(process, GUEST_SECONDS, careful=False)
        self.output = os.pread(output, OUTPUT_BYTES, 0).decode(errors="replace")
        self.say(self.output.rstrip())
        return returncode

    def _wait(self, process: subprocess.Popen[bytes], seconds: float, careful: bool) -> int:
        """Wait for the end; on a stop or after `seconds` bring it about, but never amid dpkg's work."""
        deadline = time.monotonic() + seconds
        before = package_database()
        while process.poll() is None:
            time.sleep(LOOK_SECONDS)
            wanted = self.stopping or time.monotonic() > deadline
            if wanted and (not careful or end_before_dpkg(process.pid, before)):
                end_group(process)
                raise Refused("stopped" if self.stopping else "timed-out", f"{seconds:.0f}")
        return process.returncode


def is_package_operation(argv: Sequence[str]) -> bool:
    """Whether the command installs, removes or mends packages."""
    return list(argv) == REPAIR or any(matches(shape, " ".join(argv)) for shape in PACKAGE_OPERATIONS)


def lock_holder(path: str) -> int | None:
    """Which process holds the fcntl lock on a file of root's; None where nobody does."""
    parent, name = os.path.split(path)
    try:
        with directory(parent) as place:
            descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    except FileNotFoundError:
        return None
    try:
        question = struct.pack("@hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, holder = struct.unpack("@hhqqi", fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else holder


def told(process: int, name: str) -> str:
    """What a file in /proc/PID says (proc(5)); nothing where the process is gone."""
    try:
        return Path(f"/proc/{process}/{name}").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def status_fields(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the third, the state, on; empty for a process that is gone."""
    return told(process, "stat").rpartition(")")[2].split()


def package_database() -> list[int]:
    """When dpkg last wrote down what it did; it does so before and after every package."""
    places = [Path("/var/lib/dpkg/status"), Path("/var/lib/dpkg/updates")]
    return [place.stat().st_mtime_ns for place in places if place.exists()]


def end_before_dpkg(package_manager: int, database: list[int]) -> bool:
    """End a package operation that only waits or downloads yet; False where dpkg may have begun.

    It is held still while that is looked at, and is told to end before it is
    let go on, so that dpkg cannot begin in between.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(package_manager, signal.SIGSTOP)
        time.sleep(LOOK_SECONDS)
        waits = lock_holder("/var/lib/dpkg/lock-frontend") != package_manager
        processes = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        children = [each for each in processes if status_fields(each)[1:2] == [str(package_manager)]]
        harmless = (
            status_fields(package_manager)[:1] == ["T"]
            and told(package_manager, "comm") != "dpkg"
            and all(is_download_method(child) for child in children)
            and (waits or package_database() == database)
        )
        if harmless:
            os.kill(package_manager, signal.SIGTERM)
        os.kill(package_manager, signal.SIGCONT)
        return harmless
    return True


def is_download_method(process: int) -> bool:
    """Whether this is one of apt's programs that fetch and check, and change nothing installed."""
    try:
        return str(Path(f"/proc/{process}/exe").readlink()).startswith("/usr/lib/apt/methods/")
    except OSError:
        return False


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole group, and SIGKILL to what is left of it later."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# Listening to the runner.


@dataclass
class Step:
    """One attempt at one step: what came of it, and who wants to know."""

    step_id: str
    attempt: int
    outcome: Json | None = None
    watchers: list[socket.socket] = field(default_factory=list)

    def report(self) -> Json:
        """The step as the runner is told of it."""
        return {"step": self.step_id, "attempt": self.attempt, "outcome": self.outcome}


class Helper:
    """Serves the runner of one run until it is told to end, or nobody has come for a while."""

    def __init__(self, steps: dict[str, list[Json]], digest: str, run_id: str, user: int) -> None:
        self._actions = steps
        self._digest = digest
        self._run_id = run_id
        self._user = user
        self._steps: dict[str, Step] = {}
        self._clients: list[socket.socket] = []
        self._running: Step | None = None
        self._worker, self._result = 0, -1
        self._ending = False
        self._quiet_since = self._born = time.monotonic()
        self._listener: socket.socket | None = None

    def serve(self, listener: socket.socket) -> None:
        """Answer requests and wait for the worker, in one thread."""
        outlive_session(f"kvmwizard-{self._run_id}-root-helper", os.getpid(), 0)
        self._listener = listener
        listener.setblocking(False)
        while self._running is not None or not self._over():
            waited_for: list[Any] = [listener, *self._clients]
            if self._running is not None:
                waited_for.append(self._result)
            for ready in select.select(waited_for, [], [], 1.0)[0]:
                if ready is listener:
                    self._welcome(listener)
                elif self._running is not None and ready is self._result:
                    self._finish(self._running)
                elif ready in self._clients:
                    self._hear(ready)

    def _over(self) -> bool:
        now = time.monotonic()
        if self._clients:
            self._quiet_since = now
        return self._ending or now - self._quiet_since > IDLE_SECONDS or now - self._born > LIFE_SECONDS

    def _welcome(self, listener: socket.socket) -> None:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        client.setblocking(False)
        self._clients.append(client)
        if peer(client)[1] != self._user:
            self._part(client, "peer")
        elif len(self._clients) > CLIENTS:
            self._part(client, "busy")

    def _hear(self, client: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            closing = socket.MSG_CMSG_CLOEXEC
            content, descriptors, flags, _ = socket.recv_fds(client, MESSAGE_BYTES, 4, closing)
            if not content:
                self._part(client)
                return
            require(not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "request", "too long")
            self._answer(client, json.loads(content), descriptors)
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
                outlive_session(f"kvmwizard-{self._run_id}-runner", peer(client)[0], self._user)
            steps = [step.report() for step in self._steps.values()]
            greeting = {"protocol": PROTOCOL, "plan": self._digest, "run": self._run_id, "steps": steps}
            self._tell(client, greeting)
        elif verb == "do":
            self._begin(client, request, descriptors)
        elif verb == "watch":
            step = self._steps.get(request["step"])
            if step is None or step.attempt != request["attempt"]:
                raise Refused("unknown-step", str(request["step"]))
            if client not in step.watchers:
                step.watchers.append(client)
            self._tell_if_over(step)
        elif verb == "stop":
            if self._running is not None:
                os.kill(self._worker, signal.SIGTERM)
            self._tell(client, {"stopping": self._running is not None})
        elif verb == "end":
            self._ending = True
            self._tell(client, {"ending": True})
        else:
            raise Refused("request", str(verb))

    def _begin(self, client: socket.socket, request: Json, descriptors: list[int]) -> None:
        step_id, attempt, program = request["step"], request["attempt"], request.get("program")
        require(isinstance(step_id, str) and step_id in self._actions, "unknown-step", str(step_id))
        require(type(attempt) is int, "request", "attempt")
        require(program is None or isinstance(program, str), "request", "program")
        require(self._running is None and not self._ending, "busy")
        done = self._steps.get(step_id)
        require(done is None or done.attempt < attempt, "done-already", step_id)
        require(len(descriptors) == len(("log", "progress")), "descriptors", str(len(descriptors)))
        for descriptor in descriptors:
            self._require_users_own(descriptor)
        step = Step(step_id, attempt)
        self._fork(step, descriptors, (program or "").encode())
        step.watchers.append(client)
        self._steps[step_id] = self._running = step
        self._tell(client, {"accepted": step_id})

    def _require_users_own(self, descriptor: int) -> None:
        """Only the user's own plain file, open for appending: what the user could write anyway.

        File systems without blocks are the kernel's own, such as /proc, whose files act on who writes.
        """
        status = os.fstat(descriptor)
        plain = stat.S_ISREG(status.st_mode) and status.st_uid == self._user
        plain = plain and os.fstatvfs(descriptor).f_blocks > 0
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        appending = flags & os.O_APPEND and flags & os.O_ACCMODE == os.O_WRONLY
        require(plain and bool(appending), "descriptors", "not a plain file of yours, open for appending")

    def _fork(self, step: Step, descriptors: list[int], program: bytes) -> None:
        reading, writing = os.pipe()
        worker = os.fork()
        if worker == 0:
            # Should the helper be killed, nothing of its may still seem to listen.
            for kept in (self._listener, *self._clients):
                if kept is not None:
                    kept.close()
            work_and_leave(self._actions[step.step_id], descriptors, program, writing)
        os.close(writing)
        self._worker, self._result = worker, reading

    def _finish(self, step: Step) -> None:
        """The worker has ended: with its outcome in the pipe, or killed."""
        with os.fdopen(self._result, "rb") as result:
            content = result.read()
        _, status = os.waitpid(self._worker, 0)
        try:
            step.outcome = json.loads(content)
        except ValueError:
            detail = f"wait status {status}"
            step.outcome = {"returncode": None, "code": "killed", "detail": detail, "output": None}
        self._running = None
        self._quiet_since = time.monotonic()
        self._tell_if_over(step)

    def _tell_if_over(self, step: Step) -> None:
        if step.outcome is not None:
            for client in step.watchers:
                self._tell(client, {"finished": step.report()})
            step.watchers.clear()

    def _tell(self, client: socket.socket, answer: Json) -> None:
        with contextlib.suppress(OSError):
            client.send(json.dumps(answer).encode("ascii"))

    def _part(self, client: socket.socket, refused: str | None = None) -> None:
        if refused is not None:
            self._tell(client, {"refused": refused})
        self._clients.remove(client)
        client.close()


def work_and_leave(actions: list[Json], descriptors: list[int], program: bytes, result: int) -> NoReturn:
    """In the forked worker: carry the actions out, put the outcome into the pipe, and leave."""
    outcome: Json = {"returncode": None, "code": "killed", "detail": "", "output": None}
    try:
        os.setsid()
        log, progress = descriptors
        os.dup2(progress, PROGRESS_DESCRIPTOR, inheritable=True)
        outcome = Work(log, program).carry_out(actions)
    except BaseException as error:  # noqa: BLE001  -- the runner must learn of anything that goes wrong here
        outcome["detail"] = repr(error)
    finally:
        os.write(result, json.dumps(outcome).encode("ascii"))
        os._exit(0)


def peer(client: socket.socket) -> tuple[int, int, int]:
    """Process, user and group of the other side, as the kernel says (unix(7), SO_PEERCRED)."""
    process, user, group = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return process, user, group


# Starting.


def socket_path(user: int, run_id: str) -> str:
    """Where the helper of this user's run listens."""
    return f"{RUNTIME_DIRECTORY}/{user}-{run_id}.socket"


def listen(user: int, run_id: str) -> socket.socket | None:
    """The socket, which only this user can connect to; None where a helper of this run listens already."""
    path = socket_path(user, run_id)
    with (
        directory(RUNTIME_DIRECTORY, make=True),
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other,
    ):
        try:
            other.connect(path)
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            Path(path).unlink()
        else:
            return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
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

    Where logind ends what a session leaves behind (logind.conf(5), KillUserProcesses), only that
    helps. Without systemd there is nothing to do, and where it fails, nothing is lost but that.
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


UNLIMITED = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)
LIMITS = {
    **dict.fromkeys(UNLIMITED, resource.RLIM_INFINITY),
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 4096,
}


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
    for limit, wanted in LIMITS.items():
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
