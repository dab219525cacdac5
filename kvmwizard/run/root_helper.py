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

It ends when it is told to, or after IDLE_SECONDS without a runner.
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
import secrets
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

PROTOCOL = 1
RUNTIME_DIRECTORY = "/run/kvmwizard"
IDLE_SECONDS = 900.0
"""As long as sudo itself remembers a password by default (sudoers(5), timestamp_timeout)."""
LOCK_SECONDS = 600.0
COMMAND_SECONDS = 600.0
PACKAGE_SECONDS = 7200.0
GUEST_SECONDS = 120.0
GRACE_SECONDS = 10.0
"""Between SIGTERM and SIGKILL."""
LOOK_SECONDS = 0.1
MESSAGE_BYTES = 128 * 1024
PLAN_BYTES = 4 * 1024 * 1024
FILE_BYTES = 64 * 1024
OUTPUT_BYTES = 64 * 1024
CLIENTS = 16
PROGRESS_DESCRIPTOR = 3
"""Where commands find the file for the package manager's own progress lines."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

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
PACKAGE = r"[a-z0-9][a-z0-9+.-]+"
"""Debian policy, section 5.6.7."""
USER = r"[a-z_][a-z0-9_.-]{0,31}\$?"
GROUP = r"[a-z_][a-z0-9_.-]{0,31}"
NEW_GROUP = "kvm"
"""The only group that is ever made or removed."""
MODULE = r"[a-z0-9][a-z0-9_]{0,55}"
COMMENT = r"#[ -\[\]-~]*"
FILES = {
    "/etc/modules-load.d/kvmwizard.conf": MODULE,
    "/etc/modprobe.d/kvmwizard.conf": rf"options {MODULE} nested=[01]",
    "/etc/default/grub.d/kvmwizard.cfg": (
        r'GRUB_CMDLINE_LINUX_DEFAULT="\$GRUB_CMDLINE_LINUX_DEFAULT (?:intel|amd)_iommu=on"'
    ),
    "/etc/udev/rules.d/99-kvmwizard.rules": (
        rf'KERNEL=="kvm", GROUP="{GROUP}", MODE="0[0-6]{{3}}", OPTIONS\+="static_node=kvm"'
    ),
}
"""What a line may say, beside comments: modprobe, udev and GRUB can all be told to run programs."""
PLAIN_MODE = 0o644
"""The most that a file's mode may have."""
KVM_DEVICE = "/dev/kvm"
DEVICES = frozenset({KVM_DEVICE})
DEVICE_MODE = 0o666
"""The most that a device's mode may have."""
LOCKS = frozenset({"/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"})

OPTION = (
    r"-o (?:DPkg::Lock::Timeout=[0-9]{1,4}|APT::Status-Fd=3|Dpkg::Use-Pty=0"
    r"|APT::Update::Error-Mode=any|Dpkg::Options::=--force-confold)"
)
APT_GET = rf"/usr/bin/apt-get(?: {OPTION})*"
PACKAGE_OPERATIONS = (
    rf"{APT_GET} install --yes --no-install-recommends --(?: {PACKAGE})+",
    rf"/usr/bin/dpkg --remove --(?: {PACKAGE})+",
)
"""What must not be cut off in the middle."""
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
    "NEEDRESTART_SUSPEND": "1",
    "APT_LISTCHANGES_FRONTEND": "none",
}


def require(good: bool, code: str, detail: str = "") -> None:
    """Refuse unless `good`."""
    if not good:
        raise Refused(code, detail)


def matches(pattern: str, value: Any) -> bool:
    """Whether the value is a text that the pattern describes from end to end."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def check_command(action: Json) -> None:
    """One of COMMANDS, with nothing in its environment but VARIABLES, waiting for LOCKS only."""
    argv = action["argv"]
    plain = isinstance(argv, list) and all(matches(r"[!-~]+", word) for word in argv)
    require(plain and any(matches(shape, " ".join(argv)) for shape in COMMANDS), "action", repr(argv))
    environment = action["environment"]
    require(isinstance(environment, dict), "action", "environment")
    for name, value in environment.items():
        require(VARIABLES.get(name) == value, "action", f"{name}={value}")
    require(isinstance(action["locks"], list) and LOCKS.issuperset(action["locks"]), "action", "locks")


def check_write(action: Json) -> None:
    """One of FILES, small, readable by all, writable by root alone."""
    check_file(action)
    text = action["text"]
    require(isinstance(text, str) and len(text) <= FILE_BYTES, "action", "text")
    require(matches(rf"(?:(?:{FILES[action['path']]}|{COMMENT})?\n)*", text), "action", action["path"])
    mode = action["mode"]
    require(isinstance(mode, int) and mode & ~PLAIN_MODE == 0, "action", f"mode {mode}")


def check_file(action: Json) -> None:
    """One of FILES."""
    require(action["path"] in FILES, "action", str(action["path"]))


def check_device(action: Json) -> None:
    """One of DEVICES, and where the action has them: a plain group, user, mode and permissions."""
    require(action["path"] in DEVICES, "action", str(action["path"]))
    if "group" in action:
        require(matches(rf"{GROUP}|[0-9]{{1,9}}", action["group"]), "action", str(action["group"]))
        mode = action["mode"]
        require(isinstance(mode, int) and mode & ~DEVICE_MODE == 0, "action", f"mode {mode}")
    if "user" in action:
        require(matches(USER, action["user"]), "action", str(action["user"]))
    require(matches("[r-][w-]-", action.get("permissions", "rw-")), "action", "permissions")


def check_group(action: Json) -> None:
    """The group that kvmwizard makes where there is none."""
    require(action["group"] == NEW_GROUP, "action", str(action["group"]))


def check_guest(action: Json) -> None:
    """A plain user name and the hash of the program that is to run as that user."""
    require(matches(USER, action["user"]), "action", str(action["user"]))
    require(matches(SHA256, action["program_sha256"]), "action", "program_sha256")


ACTIONS: dict[str, tuple[Callable[[Json], None], frozenset[str]]] = {
    "run-command": (check_command, frozenset({"argv", "environment", "locks"})),
    "write-file": (check_write, frozenset({"path", "text", "mode"})),
    "remove-file": (check_file, frozenset({"path"})),
    "remove-empty-group": (check_group, frozenset({"group"})),
    "set-device-group": (check_device, frozenset({"path", "group", "mode"})),
    "grant-device-acl": (check_device, frozenset({"path", "user", "permissions"})),
    "revoke-device-acl": (check_device, frozenset({"path", "user"})),
    "run-guest-as": (check_guest, frozenset({"user", "program_sha256"})),
}
"""How each kind of action is checked, and the keys it has beside its kind: no fewer and no more."""


def checked_steps(content: bytes, digest: str) -> dict[str, list[Json]]:
    """The actions of root's steps, by the step's id. Refuses any other plan than the agreed one."""
    require(hashlib.sha256(content).hexdigest() == digest, "digest")
    try:
        plan = json.loads(content)
        require(plan["schema_version"] == 1, "schema", str(plan["schema_version"]))
        steps = {step["id"]: step["actions"] for step in plan["steps"] if step["root"] is True}
        for step_id, actions in steps.items():
            require(matches(STEP_ID, step_id), "action", str(step_id))
            for action in actions:
                check, keys = ACTIONS[action["kind"]]
                require(set(action) == keys | {"kind"}, "action", repr(action)[:500])
                check(action)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused("plan", repr(error)) from error
    return steps


# Files: reached from / by directory descriptors, following no link.


def open_directory(path: str, make: bool = False) -> int:
    """A descriptor of a directory that root alone can change, all the way down. Raises Refused, OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open("/", flags)
    try:
        for name in [part for part in path.split("/") if part]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=directory)
                    os.fsync(directory)
            below = os.open(name, flags, dir_fd=directory)
            os.close(directory)
            directory = below
            status = os.fstat(directory)
            require(status.st_uid == 0 and not status.st_mode & 0o022, "path", path)
    except BaseException:
        os.close(directory)
        raise
    return directory


def require_plain_file(directory: int, name: str, path: str) -> bool:
    """Whether the file is there; refuse where it is anything but a plain file of root's with one name."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == 0
    require(plain, "path", path)
    return True


def write_file(action: Json) -> None:
    """Write the whole file beside its place, then move it there."""
    parent, name = os.path.split(action["path"])
    directory = open_directory(parent, make=True)
    unfinished = f".{name}.{secrets.token_hex(8)}.unfinished"
    try:
        require_plain_file(directory, name, action["path"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(unfinished, flags, 0o600, dir_fd=directory), "wb") as file:
                file.write(action["text"].encode())
                file.flush()
                os.fchmod(file.fileno(), action["mode"])
                os.fsync(file.fileno())
            os.rename(unfinished, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished, dir_fd=directory)
            raise
        os.fsync(directory)
    finally:
        os.close(directory)


def remove_file(action: Json) -> None:
    """Remove the file, where it is there."""
    parent, name = os.path.split(action["path"])
    with contextlib.suppress(FileNotFoundError):
        directory = open_directory(parent)
        try:
            if require_plain_file(directory, name, action["path"]):
                os.unlink(name, dir_fd=directory)
                os.fsync(directory)
        finally:
            os.close(directory)


# The device. Its access list: include/uapi/linux/posix_acl_xattr.h and acl(5).

ACL_ATTRIBUTE = "system.posix_acl_access"
ACL_HEADER = struct.Struct("<I")
ACL_ENTRY = struct.Struct("<HHI")
ACL_VERSION = 2
OWNER, NAMED_USER, OWNING_GROUP, NAMED_GROUP, MASK, OTHERS = 1, 2, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF

Acl = dict[tuple[int, int], int]
"""Permissions by tag and id."""


@contextlib.contextmanager
def device(path: str) -> Iterator[str]:
    """A path that leads to exactly this character device, whatever happens to its name meanwhile."""
    parent, name = os.path.split(path)
    directory = open_directory(parent)
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.close(directory)
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
    granted[(MASK, NO_ID)] = 0
    for (tag, _), rights in granted.items():
        granted[(MASK, NO_ID)] |= 0 if tag in (OWNER, OTHERS) else rights
    entries = b"".join(ACL_ENTRY.pack(tag, granted[(tag, id_)], id_) for tag, id_ in sorted(granted))
    os.setxattr(path, ACL_ATTRIBUTE, ACL_HEADER.pack(ACL_VERSION) + entries)


def set_device_group(action: Json) -> None:
    """Owning group and mode; where there is an access list, its named entries stay as they are."""
    with device(action["path"]) as path:
        os.chown(path, -1, group_id(action["group"]))
        write_acl(path, {**read_acl(path), **mode_entries(action["mode"])})


def grant_device_acl(action: Json) -> None:
    """Give the user these permissions, whatever the entry was before."""
    letters = action["permissions"]
    with device(action["path"]) as path:
        acl = read_acl(path)
        acl[(NAMED_USER, account(action["user"]).pw_uid)] = ("r" in letters) * 4 + ("w" in letters) * 2
        write_acl(path, acl)


def revoke_device_acl(action: Json) -> None:
    """Take the user's entry away, where there is one; a device that is gone needs nothing."""
    user = account(action["user"]).pw_uid
    with contextlib.suppress(FileNotFoundError), device(action["path"]) as path:
        acl = read_acl(path)
        if acl.pop((NAMED_USER, user), None) is not None:
            write_acl(path, acl)


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
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env={**ENVIRONMENT, **environment},
            cwd="/",
            start_new_session=True,
            pass_fds=(PROGRESS_DESCRIPTOR,),
        )
        return self._wait(process, seconds, careful=is_package_operation(argv))

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
        {
            "write-file": write_file,
            "remove-file": remove_file,
            "set-device-group": set_device_group,
            "grant-device-acl": grant_device_acl,
            "revoke-device-acl": revoke_device_acl,
        }[kind](action)
        return 0

    def _run_command(self, action: Json) -> int:
        argv = action["argv"]
        require_device_group(argv)
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
                    f"It is held by process {holder} ({program_name(holder)})"
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
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-"],
            stdin=source,
            stdout=output,
            stderr=self.log,
            env=ENVIRONMENT,
            cwd="/",
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=os.getgrouplist(user.pw_name, user.pw_gid),
            start_new_session=True,
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


def require_device_group(argv: Sequence[str]) -> None:
    """Refuse to put anybody into a group that has nothing to do with the device, such as sudo's."""
    if argv[:2] != ["/usr/bin/gpasswd", "--add"]:
        return
    user, name = argv[2:]
    account(user)
    group = group_id(name)
    with contextlib.suppress(FileNotFoundError), device(KVM_DEVICE) as path:
        require(group != 0 and (name == NEW_GROUP or Path(path).stat().st_gid == group), "group", name)
        return
    require(name == NEW_GROUP, "group", name)


def lock_holder(path: str) -> int | None:
    """Which process holds the fcntl lock on a file of root's; None where nobody does."""
    parent, name = os.path.split(path)
    directory = open_directory(parent)
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    finally:
        os.close(directory)
    try:
        question = struct.pack("@hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, holder = struct.unpack("@hhqqi", fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else holder


def program_name(process: int) -> str:
    """What the kernel calls the process's program."""
    try:
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"


def status_fields(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the third, the state, on (proc(5)); empty for one that is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


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
            and program_name(package_manager) != "dpkg"
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


class Step:
    """One attempt at one step: what came of it, and who wants to know."""

    def __init__(self, step_id: str, attempt: int) -> None:
        self.step_id = step_id
        self.attempt = attempt
        self.outcome: Json | None = None
        self.watchers: list[socket.socket] = []

    def report(self) -> Json:
        """The step as the runner is told of it."""
        return {
            "step": self.step_id,
            "attempt": self.attempt,
            "running": self.outcome is None,
            "outcome": self.outcome,
        }


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
        self._worker = 0
        self._result = -1
        self._ending = False
        self._quiet_since = time.monotonic()
        self._listener: socket.socket | None = None

    def serve(self, listener: socket.socket) -> None:
        """Answer requests and wait for the worker, in one thread."""
        outlive_session(f"kvmwizard-{self._run_id}-root-helper", os.getpid())
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
        if self._clients:
            self._quiet_since = time.monotonic()
        return self._ending or time.monotonic() - self._quiet_since > IDLE_SECONDS

    def _welcome(self, listener: socket.socket) -> None:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        client.setblocking(False)
        if peer(client)[1] != self._user:
            self._tell(client, {"refused": "peer"})
            client.close()
        elif len(self._clients) >= CLIENTS:
            self._tell(client, {"refused": "busy"})
            client.close()
        else:
            self._clients.append(client)

    def _hear(self, client: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            content, descriptors, flags, _ = socket.recv_fds(
                client, MESSAGE_BYTES, 4, socket.MSG_CMSG_CLOEXEC
            )
            if not content:
                self._part(client)
                return
            require(not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "request", "too long")
            self._answer(client, json.loads(content), descriptors)
        except Refused as refused:
            self._tell(client, {"refused": refused.code, "detail": refused.detail})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
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
                outlive_session(f"kvmwizard-{self._run_id}-runner", peer(client)[0])
            self._tell(client, self._greeting())
        elif verb == "do":
            self._begin(client, request, descriptors)
        elif verb == "watch":
            step = self._steps.get(request["step"])
            if step is None or step.attempt != request["attempt"]:
                raise Refused("unknown-step", str(request["step"]))
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

    def _greeting(self) -> Json:
        return {
            "protocol": PROTOCOL,
            "plan": self._digest,
            "run": self._run_id,
            "steps": [step.report() for step in self._steps.values()],
        }

    def _begin(self, client: socket.socket, request: Json, descriptors: list[int]) -> None:
        step_id, attempt, program = request["step"], request["attempt"], request.get("program")
        require(isinstance(step_id, str) and step_id in self._actions, "unknown-step", str(step_id))
        require(type(attempt) is int, "request", "attempt")
        require(program is None or isinstance(program, str), "request", "program")
        require(self._running is None and not self._ending, "busy")
        done = self._steps.get(step_id)
        require(done is None or done.attempt < attempt, "done-already", step_id)
        for descriptor in descriptors:
            self._require_users_own(descriptor)
        try:
            log, progress = descriptors
        except ValueError:
            raise Refused("descriptors", str(len(descriptors))) from None
        step = Step(step_id, attempt)
        self._fork(step, (log, progress), (program or "").encode())
        step.watchers.append(client)
        self._steps[step_id] = self._running = step
        self._tell(client, {"accepted": step_id})

    def _require_users_own(self, descriptor: int) -> None:
        """Only the user's own plain file, open for appending: what the user could write anyway."""
        status = os.fstat(descriptor)
        plain = stat.S_ISREG(status.st_mode) and status.st_uid == self._user
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        appending = flags & os.O_APPEND and flags & os.O_ACCMODE == os.O_WRONLY
        require(plain and bool(appending), "descriptors", "not a plain file of yours, open for appending")

    def _fork(self, step: Step, descriptors: tuple[int, int], program: bytes) -> None:
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

    def _part(self, client: socket.socket) -> None:
        self._clients.remove(client)
        client.close()


def work_and_leave(
    actions: list[Json], descriptors: tuple[int, int], program: bytes, result: int
) -> NoReturn:
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
    os.close(open_directory(RUNTIME_DIRECTORY, make=True))
    path = socket_path(user, run_id)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
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


def outlive_session(name: str, process: int) -> None:
    """Move a process out of its login session into a scope of the system's, as systemd-run --scope does.

    Where logind ends what a session leaves behind (logind.conf(5), KillUserProcesses), only that
    helps. Without systemd there is nothing to do, and where it fails, nothing is lost but that.
    """
    manager = "org.freedesktop.systemd1"
    argv = ["/usr/bin/busctl", "call", manager, "/org/freedesktop/systemd1", f"{manager}.Manager"]
    argv += ["StartTransientUnit", "ssa(sv)a(sa(sv))", f"{name}-{process}.scope", "fail"]
    argv += ["1", "PIDs", "au", "1", str(process), "0"]
    if Path("/run/systemd/system").is_dir():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(argv, env=ENVIRONMENT, capture_output=True, timeout=GRACE_SECONDS, check=False)


def clean_surroundings() -> None:
    """Nothing of the caller's but the user's number counts: environment, folder, file mode mask, signals."""
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    os.chdir("/")
    os.umask(0o022)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
        ignored = number in (signal.SIGHUP, signal.SIGPIPE)
        signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
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
        code = error.code if isinstance(error, Refused) else "system"
        detail = error.detail if isinstance(error, Refused) else str(error)
        sys.stdout.write(json.dumps({"refused": code, "detail": detail}) + "\n")
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
