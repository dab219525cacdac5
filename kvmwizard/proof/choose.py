"""Which QEMU the proof runs, and the command line to use it with."""

import os

from kvmwizard.answers import Answers, LocalQemu, native_emulators
from kvmwizard.catalog.chosen import chosen_qemu as built_qemu
from kvmwizard.catalog.qemu_flags import PROGRAM_PREFIX, install_prefix
from kvmwizard.host.facts import Facts
from kvmwizard.host.qemu import emulator_architecture
from kvmwizard.words import say

MEGABYTES = 1024 * 1024
# Machines that have no default one.
MACHINE_ARGUMENTS = {"aarch64": ("-machine", "virt"), "riscv64": ("-machine", "virt")}


def chosen_qemu(facts: Facts, answers: Answers | None = None) -> str | None:
    """The path of the QEMU that was chosen, or of the distribution's own; None where there is none.

    After packages were installed, `facts` must have been gathered anew.
    """
    architecture = emulator_architecture(facts.processor.architecture)
    if answers is not None and answers.qemu is not None and isinstance(answers.qemu.qemu, LocalQemu):
        return answers.qemu.qemu.path
    built = built_qemu(answers) if answers is not None else None
    if built is not None:
        return f"{install_prefix(built.version.text, built.build)}/bin/{PROGRAM_PREFIX}{architecture}"
    paths = [binary.path for binary in native_emulators(facts)]
    # The places of distributions' packages before /usr/local and /opt.
    packaged = (f"/usr/bin/qemu-system-{architecture}", "/usr/libexec/qemu-kvm", "/usr/bin/qemu-kvm")
    return next((path for path in packaged if path in paths), paths[0] if paths else None)


MAKE_DISK = "truncate -s 20G disk.img"
"""Makes the disk of `guest_command_line`: a QEMU that is built here comes without qemu-img."""
FIRST_START = say(
    "A new disk is empty: add -cdrom FILE, with what a system is installed from. Where QEMU can open no "
    "window, as over SSH, it names the VNC address at which the guest is seen."
)
"""What one who types `guest_command_line` must know."""


def guest_command_line(qemu: str, architecture: str) -> tuple[str, ...]:
    """How to start a guest of one's own: 2 GiB of memory, less on a machine with less than 4."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEGABYTES // 2
    megabytes = max(256, min(2048, half // 256 * 256))
    return (
        qemu,
        *MACHINE_ARGUMENTS.get(architecture, ()),
        "-enable-kvm",
        *("-m", str(megabytes)),
        *("-cpu", "host"),
        *("-drive", "file=disk.img,format=raw"),
    )
