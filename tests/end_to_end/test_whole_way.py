"""From a bare machine to a booted guest with arrows, Space, Enter and Esc alone, and back again."""

import base64
from pathlib import Path

import pytest

from tests.end_to_end.wizard import (
    KVMWIZARD,
    PROOF_SECONDS,
    RUN_SECONDS,
    kvmwizard,
    open_wizard,
    select,
    selected_line,
    wait_for_page,
    wait_for_proof,
    wait_for_run,
    walk_to,
)
from tests.end_to_end.world import differences, world_of
from tests.machine.layers import ALICE_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

OPENS_KVM = ("/usr/bin/python3", "-c", "open('/dev/kvm', 'r+b', buffering=0)")
EXIT_DISK = bytes.fromhex("b010e6f4f4") + bytes(505) + bytes.fromhex("55aa")
"""A boot sector of our own: mov al,0x10; out 0xf4,al; hlt, for QEMU's isa-debug-exit device."""
EXIT_STATUS = 0x10 << 1 | 1


@pytest.fixture(autouse=True, scope="module")
def needs_kvm() -> None:
    if not Path("/dev/kvm").exists():
        pytest.skip("no guest can be run with KVM where there is no /dev/kvm")


def boots_a_guest(machine: ThrowawayMachine, user: str) -> bool:
    """Whether QEMU with -enable-kvm runs our own boot sector as a new login of the user."""
    encoded = base64.b64encode(EXIT_DISK).decode()
    machine.run(["sh", "-c", f"echo {encoded} | base64 -d > /tmp/exit-{user}.img"], user=user)
    command = ["qemu-system-x86_64", "-enable-kvm", "-display", "none", "-monitor", "none", "-nodefaults"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
    command += ["-drive", f"file=/tmp/exit-{user}.img,format=raw"]
    return machine.run(command, user=user, timeout=PROOF_SECONDS).returncode == EXIT_STATUS


def carry_out(terminal: Terminal, password: str | None) -> None:
    """From Review: agree, give the password, wait for the steps and the proof."""
    terminal.wait_for("Enter carries them out", seconds=RUN_SECONDS)
    terminal.press("Enter")
    if password is not None:
        terminal.wait_for("password for alice")
        terminal.type(password)
        terminal.press("Enter")
    wait_for_run(terminal)
    terminal.press("Enter")
    wait_for_proof(terminal)


@pytest.mark.parametrize(
    ("user", "size"),
    [
        pytest.param("alice", (80, 24), id="alice-80x24"),
        pytest.param("root", (120, 36), id="root-120x36", marks=pytest.mark.slow),
        pytest.param("alice", (120, 36), id="alice-120x36", marks=pytest.mark.slow),
        pytest.param("root", (80, 24), id="root-80x24", marks=pytest.mark.slow),
    ],
)
def test_the_whole_way_and_back(program_machine: ThrowawayMachine, user: str, size: tuple[int, int]) -> None:
    machine = program_machine
    password = ALICE_PASSWORD if user == "alice" else None
    before = world_of(machine)
    old_session = Terminal.open(machine, ["/bin/bash", "--norc"], user="alice")
    assert machine.run(OPENS_KVM, user="alice").returncode != 0

    terminal = open_wizard(machine, user=user, size=size)
    walk_to(terminal, "Access")
    if user == "root":
        select(terminal, "alice")
        terminal.press("Space")
    terminal.press("Escape")
    wait_for_page(terminal, "QEMU options")
    terminal.press("Enter")
    wait_for_page(terminal, "Access")
    assert "alice" in selected_line(terminal.screen)
    terminal.press("Enter")
    wait_for_page(terminal, "Review")
    assert world_of(machine) == before
    carry_out(terminal, password)
    assert "as alice" in terminal.screen.replace("\n", " ")

    assert boots_a_guest(machine, "alice")
    old_session.type("/usr/bin/python3 -c \"open('/dev/kvm', 'r+b', buffering=0)\" && echo it opens")
    old_session.press("Enter")
    old_session.wait_for("\nit opens")
    assert machine.run(OPENS_KVM, user="bob").returncode != 0
    machine.do(["setfacl", "--remove-all", "/dev/kvm"])
    assert machine.run(OPENS_KVM, user="alice").returncode == 0, "a new login is let in by its group"
    terminal.press("Enter")
    assert terminal.wait_for_end() == 0

    undo = Terminal.open(machine, [KVMWIZARD, "undo", "--yes"], user=user)
    if password is not None:
        undo.wait_for("password for alice")
        undo.type(password)
        undo.press("Enter")
    assert undo.wait_for_end(RUN_SECONDS) == 0
    assert differences(before, world_of(machine)) == set()
    code, _, _ = kvmwizard(machine, ["check"], user="alice")
    assert code == 1
