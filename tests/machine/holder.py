"""Process 1 of a throwaway machine: mounts its file systems, then reaps its orphans.

Started by unshare(1) in namespaces of its own; standard library only, since it
runs before there is a machine to import from. It ends, and with it everything in
its process namespace, as soon as its standard input reaches its end: also when the
tests that held the other side were killed.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import stat
import sys
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203, "s390x": 217, "riscv64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def must(result: int, what: str) -> None:
    """Raise the OSError of a C call that failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2), with the target made first."""
    target.mkdir(parents=True, exist_ok=True)
    must(
        libc.mount(source.encode(), bytes(target), kind.encode(), ctypes.c_ulong(flags), options.encode()),
        f"{kind or 'bind'} on {target}",
    )


def read_only_again(target: Path) -> None:
    """Bind the directory on itself, read-only: the live kernel's knobs stay as they are."""
    mount(str(target), target, flags=MS_BIND | MS_REC)
    mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def mount_overlay(root: Path, layers: list[str], upper: str, work: str) -> None:
    """The machine's root: the live one below, prepared layers on it, the machine's own changes above.

    An overlay refuses a layer that lies below another one (ELOOP), as every folder lies
    below the live root; seen through an overlay of its own, the live root is another one.
    `volatile` makes fsync free: a throwaway machine is never needed after a power cut.
    """
    live = root.with_name("live")
    empty = root.with_name("empty")
    if layers:
        mount("tmpfs", empty, "tmpfs", MS_RDONLY)
        mount("overlay", live, "overlay", MS_RDONLY, f"lowerdir=/:{empty}")
    lower = ":".join([*layers, str(live) if layers else "/"])
    mount("overlay", root, "overlay", options=f"lowerdir={lower},upperdir={upper},workdir={work},volatile")


def make_node(path: Path, mode: int, device: int) -> None:
    """A character device, whatever the umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR | mode, device)
    path.chmod(mode)


def fill_dev(dev: Path, devices: dict[str, int]) -> None:
    """A /dev of its own, so that nobody's access list on a live device is ever touched.

    `devices` are the extra nodes, by name below /dev, with the mode they shall have;
    what the live machine lacks is left out.
    """
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755")
    for name, minor in {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}.items():
        make_node(dev / name, 0o666, os.makedev(1, minor))
    make_node(dev / "tty", 0o666, os.makedev(5, 0))
    for name, mode in devices.items():
        live = Path("/dev", name)
        if live.is_char_device():
            make_node(dev / name, mode, live.stat().st_rdev)
    mount("devpts", dev / "pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,gid=5,mode=620,ptmxmode=666")
    (dev / "ptmx").symlink_to("pts/ptmx")
    mount("tmpfs", dev / "shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        (dev / name).symlink_to(f"/proc/self/fd{target}")


def mount_machine(root: Path, settings: dict[str, object]) -> None:
    """Everything below the machine's root."""
    proc = root / "proc"
    mount("proc", proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    read_only_again(proc / "sys")
    mount("sysfs", root / "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    devices = settings["devices"]
    assert isinstance(devices, dict)
    fill_dev(root / "dev", devices)
    mount("tmpfs", root / "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    (root / "run/lock").mkdir()
    (root / "run/lock").chmod(0o1777)
    mount("tmpfs", root / "tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")


def enter(root: Path) -> None:
    """Make `root` the root and forget the live one (pivot_root(2), "pivot_root(., .)")."""
    os.chdir(root)
    must(libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    must(libc.umount2(b".", MNT_DETACH), "umount of the live root")
    os.chdir("/")


def name_machine(hostname: str, resolver: str) -> None:
    """Its own name, and the live machine's name servers even where their file is a link into /run."""
    must(libc.sethostname(hostname.encode(), len(hostname)), "sethostname")
    Path("/etc/hostname").write_text(f"{hostname}\n", encoding="ascii")
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost {hostname}\n::1 localhost\n", encoding="ascii")
    resolver_file = Path("/etc/resolv.conf")
    resolver_file.unlink(missing_ok=True)
    resolver_file.write_text(resolver, encoding="utf-8")


def reap() -> None:
    """Collect the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def hold() -> None:
    """Stay until standard input ends, as process 1 of the machine."""
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    os.set_blocking(wakeup, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    while True:
        reap()
        ready, _, _ = select.select([0, wakeup], [], [])
        if wakeup in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wakeup, 4096)
        if 0 in ready and not os.read(0, 1):
            return


def main() -> None:
    """Read the settings (one line of JSON), build the machine, say so, and hold it."""
    settings = json.loads(sys.stdin.readline())
    os.umask(0o022)
    mount("", Path("/"), flags=MS_REC | MS_PRIVATE)
    resolver = Path("/etc/resolv.conf").read_text(encoding="utf-8")
    root = Path(settings["root"])
    mount_overlay(root, settings["layers"], settings["upper"], settings["work"])
    mount_machine(root, settings)
    enter(root)
    name_machine(settings["hostname"], resolver)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    hold()


if __name__ == "__main__":
    main()
