"""What a QEMU is configured with, and which programs come of it. Pure.

Which option exists from which version on was read from the `configure` of every
release from 2.0 to 5.1, and of 7.2 and 10.0.
"""

from collections.abc import Sequence

from kvmwizard.answers import QemuBuildAnswer
from kvmwizard.catalog.version import Version, parse_version
from kvmwizard.host.qemu import emulator_architecture

PREFIX = "/opt/kvmwizard/qemu-{version}"
TARGET_SUFFIX = "-softmmu"
PROGRAM_PREFIX = "qemu-system-"

SLIRP_SINCE = "5.2"
"""Before, it is there unless switched off, and is asked for only with where it shall come from."""
VHOST_KERNEL_SINCE = "4.0"
"""Without this option beside it, `--enable-vhost-net` may bring nothing (configure, meson.build)."""

ALWAYS_OFF = ("werror", "tools", "guest-agent", "user", "debug-info")
"""Newer compilers warn of more than QEMU's authors saw; the programs for images come with the
distribution; the guest agent is for guests, and up to 2.8 does not link with today's glibc; debugging
symbols double disk and time.
"""

OUTSIDE_LIBRARIES: dict[str, tuple[str, str | None]] = {
    "gtk": ("2.0", None),
    "sdl": ("2.0", None),
    "spice": ("2.0", None),
    "opengl": ("2.3", None),
    "virglrenderer": ("2.5", None),
    "xen": ("2.0", None),
    "brlapi": ("2.0", None),
    "bluez": ("2.0", "5.0"),
    "smartcard": ("2.5", None),
    "rdma": ("2.0", None),
    "curl": ("2.0", None),
    "rbd": ("2.0", None),
    "glusterfs": ("2.0", None),
    "libiscsi": ("2.0", None),
    "libnfs": ("2.0", None),
    "libssh2": ("2.0", "4.1"),
    "libssh": ("4.1", None),
    "capstone": ("2.11", None),
}
"""Off unless asked for, with the versions that know them, the second no longer.

QEMU takes what libraries it finds, and an old one does not compile against their
newer versions. A host without a desktop shows its guests by VNC, a terminal or a
serial line, and keeps their disks in files and block devices.
"""

SUBMODULES: dict[str, tuple[str, str | None]] = {
    "ui/keycodemapdb": ("2.11", "8.1"),
    "tests/fp/berkeley-testfloat-3": ("3.1", "8.1"),
    "tests/fp/berkeley-softfloat-3": ("3.1", "8.1"),
    "slirp": ("4.1", "7.2"),
    "meson": ("5.2", "8.1"),
    "subprojects/keycodemapdb": ("8.1", None),
    "subprojects/berkeley-softfloat-3": ("8.1", None),
    "subprojects/berkeley-testfloat-3": ("8.1", None),
}
"""What of git's tree lies in repositories of its own and is needed, with the versions that have it, the
second no longer (.gitmodules, and git_submodules in configure). From 8.1 on, subprojects/NAME.wrap name such
instead (subprojects in configure); meson would fetch them by itself, and verify nothing.
"""

DISTRIBUTION_FIRMWARE = ("/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu")
"""Where a QEMU whose source came without firmware looks for the distribution's (Debian's debian/rules,
FIRMWAREPATH); other distributions keep all of it in the first.
"""


def submodules(version: str) -> tuple[str, ...]:
    """The submodules that a checkout of this version needs, by their paths."""
    known = parse_version(version)
    return tuple(path for path, (since, until) in SUBMODULES.items() if _within(known, since, until))


def firmware_directories(tree: str) -> tuple[str, ...]:
    """Where a QEMU that is not installed yet finds its firmware, for its option -L; `tree` is its source."""
    return (f"{tree}/pc-bios", *DISTRIBUTION_FIRMWARE)


def switched_off(version: str) -> tuple[str, ...]:
    """The `--disable-` flags that every build of this version gets."""
    known = parse_version(version)
    libraries = (name for name, (since, until) in OUTSIDE_LIBRARIES.items() if _within(known, since, until))
    return tuple(f"--disable-{name}" for name in (*ALWAYS_OFF, *libraries))


def build_targets(answer: QemuBuildAnswer, architecture: str) -> tuple[str, ...]:
    """What is built, as configure names it; `architecture` is as `uname -m` says it."""
    return answer.targets or (emulator_architecture(architecture) + TARGET_SUFFIX,)


def programs(targets: Sequence[str]) -> tuple[str, ...]:
    """The programs that come of the targets, as `qemu-system-x86_64`."""
    return tuple(PROGRAM_PREFIX + target.removesuffix(TARGET_SUFFIX) for target in targets)


def install_prefix(version: str, answer: QemuBuildAnswer) -> str:
    """Where this QEMU is installed; two versions do not come into each other's way."""
    return answer.prefix or PREFIX.format(version=version)


def configure_flags(version: str, answer: QemuBuildAnswer, architecture: str) -> tuple[str, ...]:
    """What this version's configure is called with.

    Of contradicting flags configure takes the last, so the person's come behind ours.

    Args:
        version: as `7.2.22`.
        answer: what the person chose.
        architecture: the host's, as `uname -m` says it.
    """
    known = parse_version(version)
    return (
        f"--prefix={install_prefix(version, answer)}",
        f"--target-list={','.join(build_targets(answer, architecture))}",
        _switch("kvm", on=answer.kvm),
        *_vhost(known, on=answer.vhost),
        *_slirp(known, on=answer.slirp),
        _switch("docs", on=answer.docs),
        *switched_off(version),
        *answer.flags,
    )


def _vhost(version: Version | None, *, on: bool) -> tuple[str, ...]:
    kernel = (_switch("vhost-kernel", on=on),) if _within(version, VHOST_KERNEL_SINCE) else ()
    return (*kernel, _switch("vhost-net", on=on))


def _slirp(version: Version | None, *, on: bool) -> tuple[str, ...]:
    return (_switch("slirp", on=on),) if not on or _within(version, SLIRP_SINCE) else ()


def _switch(name: str, *, on: bool) -> str:
    return f"--{'enable' if on else 'disable'}-{name}"


def _within(version: Version | None, since: str, until: str | None = None) -> bool:
    """Whether it is from `since` on and before `until`; what is no version is taken for the newest."""
    if version is None:
        return until is None
    # A candidate knows what its release will.
    numbers = parse_version(".".join(map(str, version.numbers)))
    first, last = parse_version(since), parse_version(until) if until else None
    return numbers is not None and first is not None and first <= numbers and (last is None or numbers < last)
