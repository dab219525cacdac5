"""What guests will need besides KVM: QEMU, memory, space on the disk."""

from kvmwizard.checks.chain import Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult, Mend
from kvmwizard.host.facts import Facts
from kvmwizard.host.qemu import QemuBinary, native_binaries
from kvmwizard.host.reading import Unknown, known
from kvmwizard.words import say

QEMU = Check(
    "qemu.installed",
    say("QEMU"),
    say("KVM is the kernel's half; QEMU is the program that gives a guest its devices."),
)
MEMORY = Check("memory", say("Free memory"), say("Each guest takes its memory from the host's."))
DISK = Check(
    "disk.space", say("Free disk space"), say("QEMU's packages, a kernel and the guests' disks need room.")
)

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
LEAST_MEMORY = 512 * MEBIBYTE
"""A small Linux guest, and something left for the host."""
LEAST_ROOT = GIBIBYTE
"""QEMU's packages with what they need, and their downloads, on Debian 12."""
LEAST_BOOT = 100 * MEBIBYTE
"""One more kernel with its initial RAM disk (Linux, quickly-build-trimmed-linux.rst)."""


def check_resources(situation: Situation) -> tuple[CheckResult, ...]:
    """QEMU, memory, disk; none of them keeps KVM itself from working."""
    facts = situation.facts
    return _qemu(facts), _memory(facts), _disk(facts)


def _qemu(facts: Facts) -> CheckResult:
    binaries = facts.qemu.binaries
    if isinstance(binaries, Unknown):
        return QEMU.unknown(binaries)
    fitting = native_binaries(binaries, facts.processor.architecture)
    if fitting:
        return _qemu_found(fitting[0])
    mend = Mend.INSTALL_QEMU if known(facts.distribution.package_manager, None) else None
    remedy = say("Let the wizard install the distribution's QEMU.")
    if binaries:
        return QEMU.warned(
            say(
                "QEMU is here, but none for {architecture} guests.", architecture=facts.processor.architecture
            ),
            remedy,
            Cause.NOT_INSTALLED,
            mend,
        )
    return QEMU.warned(say("It is not installed yet."), remedy, Cause.NOT_INSTALLED, mend)


def _qemu_found(binary: QemuBinary) -> CheckResult:
    if isinstance(binary.version, Unknown):
        return QEMU.passed(say("{path}", path=binary.path))
    return QEMU.passed(say("Version {version}, {path}", version=binary.version, path=binary.path))


def _memory(facts: Facts) -> CheckResult:
    available = facts.memory.available
    if isinstance(available, Unknown):
        return MEMORY.unknown(available)
    total = known(facts.memory.total, available)
    if available < LEAST_MEMORY:
        return MEMORY.warned(
            say("{available} free of {total}.", available=_in_units(available), total=_in_units(total)),
            say("End programs that take much memory, or give the machine more."),
            Cause.NO_SPACE,
        )
    return MEMORY.passed(
        say("{available} free of {total}.", available=_in_units(available), total=_in_units(total))
    )


def _disk(facts: Facts) -> CheckResult:
    root = facts.disk.root_free
    boot = facts.disk.boot_free
    if isinstance(root, Unknown):
        return DISK.unknown(root)
    if root < LEAST_ROOT:
        return DISK.warned(
            say("{free} free on /, and QEMU's packages want about 1 GiB.", free=_in_units(root)),
            say("Make room, for instance with `apt-get clean` or by removing old kernels.")
            if facts.distribution.package_manager == "apt"
            else say("Make room, for instance by removing packages and kernels no longer used."),
            Cause.NO_SPACE,
        )
    if not isinstance(boot, Unknown) and boot < LEAST_BOOT:
        return DISK.warned(
            say("{free} free in /boot; another kernel wants about 100 MiB.", free=_in_units(boot)),
            say("Before installing a kernel, remove those no longer used."),
            Cause.NO_SPACE,
        )
    return DISK.passed(say("{free} free on /.", free=_in_units(root)))


def _in_units(count: int) -> str:
    """A number of bytes as a person says it, in binary units."""
    if count < GIBIBYTE:
        return f"{count / MEBIBYTE:.0f} MiB"
    return f"{count / GIBIBYTE:.1f} GiB"
