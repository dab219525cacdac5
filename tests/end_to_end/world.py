"""What a run may change on a machine, to compare two machines or two moments."""

from dataclasses import dataclass

from tests.machine.machine import ThrowawayMachine

FILES_OF_THE_SYSTEM = """\
import hashlib, os, stat
for folder, _, names in os.walk("/etc"):
    for path in (os.path.join(folder, name) for name in names):
        if path in ("/etc/.pwd.lock", "/etc/ld.so.cache", "/etc/group", "/etc/gshadow") or path.endswith("-"):
            continue
        status = os.lstat(path)
        content = open(path, "rb").read() if stat.S_ISREG(status.st_mode) else os.readlink(path).encode()
        digest = hashlib.sha256(content).hexdigest()
        print(path, oct(status.st_mode), status.st_uid, status.st_gid, digest)
"""
"""With mode, owner, group and content; not the groups, which are compared by themselves, locks and caches."""


LEFT_BY_PACKAGES = ("/etc/qemu-ifup ", "/etc/qemu-ifdown ", "rdma:")
"""What Debian's own packages leave behind when they are removed: configuration, and a group they made."""


@dataclass(frozen=True)
class World:
    """The packages, groups, settings and device of a machine."""

    packages: frozenset[str]
    groups: frozenset[str]
    files: frozenset[str]
    device: str


def world_of(machine: ThrowawayMachine) -> World:
    """Read it, independently of the program."""
    packages = machine.do(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n"])
    return World(
        packages=frozenset(line for line in packages.splitlines() if line.startswith("ii")),
        groups=frozenset(machine.do(["cat", "/etc/group"]).splitlines()),
        files=frozenset(machine.do(["/usr/bin/python3", "-c", FILES_OF_THE_SYSTEM]).splitlines()),
        device=machine.do(["getfacl", "--absolute-names", "/dev/kvm"]),
    )


def differences(before: World, after: World) -> set[str]:
    """What only one of them has, but for what Debian's packages leave behind."""
    only_one = set(before.packages ^ after.packages)
    only_one |= before.groups ^ after.groups
    only_one |= before.files ^ after.files
    if before.device != after.device:
        only_one.add(after.device)
    return {item for item in only_one if not item.startswith(LEFT_BY_PACKAGES)}
