"""The distribution's newest kernel, really installed: who runs it is told, and it can be taken back."""

import re

import pytest

from tests.end_to_end.restart import restarted_into
from tests.end_to_end.wizard import (
    KVMWIZARD,
    PAGE_SECONDS,
    kvmwizard,
    open_wizard,
    select,
    wait_for_page,
    wait_for_proof,
    wait_for_run,
    walk_to,
)
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1200)]

INSTALLING_SECONDS = 600
"""Its initial file system is made twice, once by the kernel's package and once by initramfs-tools'."""


def kernels_of(machine: ThrowawayMachine) -> set[str]:
    """The releases in /boot."""
    return set(re.findall(r"vmlinuz-(\S+)", machine.do(["ls", "/boot"])))


def test_a_new_kernel_is_installed_told_to_need_a_restart_and_taken_back(
    program_machine: ThrowawayMachine,
) -> None:
    machine = program_machine
    before = kernels_of(machine)
    terminal = open_wizard(machine)
    walk_to(terminal, "Kernel")
    terminal.wait_for("The distribution's newest", seconds=PAGE_SECONDS)
    select(terminal, "The distribution's newest")
    terminal.press("Space")
    terminal.wait_for("(●) The distribution's newest")
    walk_to(terminal, "Review", "Kernel")
    terminal.wait_for("Install the kernel package", "Enter carries them out")
    terminal.press("Enter")
    terminal.wait_for("All that comes before the restart is done", seconds=INSTALLING_SECONDS)
    (release,) = kernels_of(machine) - before
    assert machine.path(f"/boot/initrd.img-{release}").stat().st_size > 1024 * 1024
    terminal.press("Enter")
    screen = wait_for_proof(terminal)
    assert re.search(r"\? Installed kernel runs +Linux \S+ is still running", screen), screen
    select(terminal, "Installed kernel runs")
    assert f"{release} runs after a restart" in " ".join(terminal.screen.split())
    terminal.press("Enter")
    assert terminal.wait_for_end() == 0

    code, output, _ = kvmwizard(machine, ["plan"])
    assert code == 0
    assert "Already so: installed: linux-image" in output

    _, output, _ = kvmwizard(machine, ["verify"])
    assert f"{release} runs after a restart" in " ".join(output.split())

    with restarted_into(machine, release):
        terminal = open_wizard(machine)
        wait_for_run(terminal)
        terminal.press("Enter")
        screen = wait_for_proof(terminal)
        assert re.search(r"✔ Installed kernel runs +Linux \S+ is running", screen), screen
        terminal.press("Enter")
        assert terminal.wait_for_end() == 0

    undo = Terminal.open(machine, [KVMWIZARD, "undo", "--yes"])
    assert undo.wait_for_end(INSTALLING_SECONDS) == 0
    assert kernels_of(machine) == before
    wait_for_page(open_wizard(machine), "Run")
