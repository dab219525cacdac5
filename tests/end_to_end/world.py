"""What a run may change on a machine, to compare two machines or two moments."""

from dataclasses import dataclass

from tests.machine.machine import ThrowawayMachine

FILES_OF_THE_SYSTEM = """\
import hashlib, os, stat
for folder, _, names in os.walk("/etc"):
    for path in (os.path.join(folder, name) for name in names):
        if path.endswith("-") or path in ("/etc/.pwd.lock", "/etc/ld.so.cache"):
            continue
        status = os.lstat(path)
        content = open(path, "rb").read() if stat.S_ISREG(status.st_mode) else os.readlink(path).encode()
        digest = hashlib.sha256(content).hexdigest()
        print(path, oct(status.st_mode), status.st_uid, status.st_gid, digest)
"""
"""With mode, owner, group and content; not the user database's backups, locks and caches."""


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
