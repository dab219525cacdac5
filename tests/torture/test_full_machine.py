"""A full virtual machine over SSH: a kernel is installed, the machine restarts, and the wizard goes on.

Debian with systemd, sudo and sshd, and with KillUserProcesses=yes: what a login leaves
behind is ended, runner and root helper have to outlive it. The kernel is built beforehand
(`built_source`); that it boots as a guest is proven in the machine before it is installed. While it is
compiled somebody sets the clock, ten years ahead or back.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Counts, Tries
from tests.end_to_end.wizard import KVMWIZARD, wait_for_page
from tests.machine.layers import ALICE_PASSWORD, PROGRAM_FOLDER, PROGRAM_PYTHON, Layer
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal
from tests.torture.built_source import make_built_source
from tests.torture.machine_disk import DISK, disk_layer
from tests.torture.machine_kernels import MachineKernels
from tests.torture.power_guest import PROGRAM_DISK, PROGRAM_DISK_SIZE, make_file_system
from tests.torture.virtual_machine import FOLDER, VirtualMachine

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3000)]

OVERLAY = f"{FOLDER}/overlay.qcow2"
SOURCES = f"{PROGRAM_FOLDER}/sources"
STATE = "/home/alice/.local/state/kvmwizard"
PAGE_SECONDS = 240
RUN_SECONDS = 1200
LOGOUT_SECONDS = 120
POLL_SECONDS = 2.0
SAVE_SESSION = """\
import sys
from kvmwizard.answers import Answers
from kvmwizard.paths import state_directory
from kvmwizard.session import Session, SessionStore
answers = Answers.model_validate_json(sys.stdin.read())
SessionStore(state_directory()).save(Session(answers=answers, page="review"))
"""


@pytest.fixture(scope="module")
def host(program_base: Layer, kernels: MachineKernels) -> Iterator[ThrowawayMachine]:
    """The throwaway machine in which the virtual one runs, with the program and both sources on a disk."""
    # Both stand on the same base.
    stack = (*disk_layer().stack[:-1], *program_base.stack)
    with ThrowawayMachine.start(stack) as machine:
        for name, image in (("good", kernels.good), ("panicking", kernels.panicking)):
            make_built_source(machine.path(f"{SOURCES}/{name}"), kernels, image)
        make_file_system(machine, PROGRAM_DISK, PROGRAM_DISK_SIZE, PROGRAM_FOLDER)
        yield machine


@pytest.fixture
def virtual(host: ThrowawayMachine) -> Iterator[VirtualMachine]:
    """The virtual machine, switched on and answering, its disk as new."""
    host.path(OVERLAY).unlink(missing_ok=True)
    host.do(["qemu-img", "create", "-q", "-f", "qcow2", "-b", DISK, "-F", "qcow2", OVERLAY])
    disks = [f"file={OVERLAY},format=qcow2,cache=unsafe", f"file={PROGRAM_DISK},format=raw,readonly=on"]
    with VirtualMachine(host, disks, None) as machine:
        machine.wait_for_start()
        # The built kernel then boots as a guest of the emulated processor's own virtualization, not of
        # an emulator within the emulator, which takes minutes.
        machine.do("usermod", "--append", "--groups", "kvm", "alice")
        yield machine
        faults = machine.run("find", STATE, "-name", "fault-*", "-exec", "cat", "{}", "+")
        assert faults.output == "", faults.output


def answers(kernels: MachineKernels, source: str) -> str:
    """The answers that install the kernel of that source, and leave QEMU as it is."""
    kernel = {"source": "local-source", "path": f"{SOURCES}/{source}", "version": kernels.version}
    return json.dumps(
        {
            "welcome": {"route": "source"},
            "kernel": {"kernel": kernel},
            "kernel_build": {"base": "defconfig", "features": ["kvm", "boot-test"]},
            "kernel_options": {"modules": []},
            "qemu": {"qemu": {"source": "distribution"}},
            "qemu_options": {"extras": []},
            "access": {"user": "alice"},
        }
    )


def open_wizard(host: ThrowawayMachine, virtual: VirtualMachine) -> Terminal:
    """kvmwizard in a login of alice's over SSH, in a terminal."""
    return Terminal.open(host, virtual.ssh(KVMWIZARD, user="alice", terminal=True))


def status(virtual: VirtualMachine) -> dict[str, Any]:
    """What `kvmwizard status` says in a login of its own."""
    answer = virtual.run(KVMWIZARD, "status", "--json", user="alice")
    assert not answer.errors, answer.errors
    run: dict[str, Any] = json.loads(answer.output)["run"]
    return run


def wait_until(reached: Callable[[], bool], what: str, seconds: float) -> None:
    """Look again and again."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds} s"
        time.sleep(POLL_SECONDS)


def give_password(terminal: Terminal) -> None:
    """Type alice's password where sudo asks for it."""
    terminal.wait_for("password for alice", seconds=PAGE_SECONDS)
    terminal.type(ALICE_PASSWORD)
    terminal.press("Enter")


def begin_and_log_out(host: ThrowawayMachine, virtual: VirtualMachine, given: str) -> None:
    """Agree to the plan in the wizard, and have the connection cut in the middle of the compiling."""
    virtual.do(PROGRAM_PYTHON, "-c", SAVE_SESSION, user="alice", text=given)
    terminal = open_wizard(host, virtual)
    wait_for_page(terminal, "Review", PAGE_SECONDS)
    terminal.wait_for("Enter carries them out", seconds=PAGE_SECONDS)
    terminal.press("Enter")
    give_password(terminal)
    wait_for_page(terminal, "Run", PAGE_SECONDS)
    wait_until(lambda: step_status(virtual, "kernel.compile") == "running", "compiling", RUN_SECONDS)
    terminal.close()
    wait_until(lambda: not sessions(virtual), "the end of alice's session", LOGOUT_SECONDS)
    assert {"runner", "root-helper"} <= survivors(virtual), survivors(virtual)


def step_status(virtual: VirtualMachine, step: str) -> str:
    """How one step stands, read as root does it: without a login of alice's."""
    # Not every status is a good one: a run that has not begun can be gone on with.
    run = json.loads(virtual.run(KVMWIZARD, "status", "--json", "--state-dir", STATE).output)["run"]
    return next(str(each["status"]) for each in run["steps"] if each["id"] == step)


def sessions(virtual: VirtualMachine) -> list[str]:
    """Alice's logins, as logind knows them."""
    lines = virtual.do("loginctl", "list-sessions", "--no-legend").splitlines()
    return [line for line in lines if "alice" in line.split()]


def survivors(virtual: VirtualMachine) -> set[str]:
    """What of a run has a scope of its own, outside of every login."""
    units = virtual.do("systemctl", "list-units", "--type=scope", "--plain", "--no-legend", "kvmwizard-*")
    names = [line.split()[0] for line in units.splitlines()]
    return {part for part in ("runner", "root-helper") for name in names if f"-{part}-" in name}


def test_the_wizard_installs_a_kernel_outlives_the_logout_and_makes_it_the_default_after_the_restart(
    host: ThrowawayMachine, virtual: VirtualMachine, kernels: MachineKernels, tries: Tries, counts: Counts
) -> None:
    began = time.monotonic()
    old = virtual.do("uname", "-r").strip()
    begin_and_log_out(host, virtual, answers(kernels, "good"))
    virtual.set_clock("+10 years")
    wait_until(lambda: status(virtual)["status"] != "running", "the end of the run", RUN_SECONDS)
    stands = status(virtual)
    assert stands["status"] == "needs-restart", stands
    assert default_of(virtual) == old

    virtual.restart()
    assert virtual.do("uname", "-r").strip() == kernels.release
    terminal = open_wizard(host, virtual)
    terminal.wait_for("Go on as root", seconds=RUN_SECONDS)
    assert default_of(virtual) == old
    terminal.press("Enter")
    give_password(terminal)
    terminal.wait_for("Every step is done", seconds=RUN_SECONDS)
    assert status(virtual)["status"] == "done"
    assert default_of(virtual) == kernels.release
    terminal.close()
    restarts = tries(short=0, full=1)
    for _ in range(restarts):
        virtual.restart()
        assert virtual.do("uname", "-r").strip() == kernels.release
    counts(
        "a kernel over SSH in a full virtual machine",
        default=default_of(virtual),
        restarts=1 + restarts,
        seconds=round(time.monotonic() - began),
    )


def default_of(virtual: VirtualMachine) -> str:
    """The kernel that GRUB starts when it was told nothing else."""
    kept = dict(line.partition("=")[::2] for line in virtual.do("grub-editenv", "list").splitlines())
    entry: str = kept["saved_entry"].rpartition("gnulinux-")[2]
    return entry.partition("-advanced-")[0]


def test_a_kernel_that_panics_gives_way_to_the_old_one_and_the_wizard_says_so(
    host: ThrowawayMachine, virtual: VirtualMachine, kernels: MachineKernels, counts: Counts
) -> None:
    began = time.monotonic()
    old = virtual.do("uname", "-r").strip()
    virtual.do("tee", "/tmp/answers.json", user="alice", text=answers(kernels, "panicking"))
    words = (KVMWIZARD, "apply", "--yes", "--answers", "/tmp/answers.json")
    terminal = Terminal.open(host, virtual.ssh(*words, user="alice", terminal=True), size=(120, 60))
    give_password(terminal)
    wait_until(lambda: step_status(virtual, "kernel.compile") == "running", "compiling", RUN_SECONDS)
    virtual.set_clock("10 years ago")
    terminal.wait_for_end(RUN_SECONDS)
    assert status(virtual)["status"] == "needs-restart", terminal.screen

    virtual.begin_restart()
    virtual.wait_for_console("Kernel panic - not syncing: the machine's own driver is broken")
    virtual.press_reset()
    virtual.wait_for_start()
    assert virtual.do("uname", "-r").strip() == old
    assert default_of(virtual) == old
    terminal = open_wizard(host, virtual)
    terminal.wait_until(
        lambda screen: f"Linux {kernels.release} did not come up" in " ".join(screen.split()),
        "that the kernel did not come up",
        PAGE_SECONDS,
    )
    terminal.close()
    said = virtual.run(KVMWIZARD, "verify", user="alice", seconds=RUN_SECONDS)
    assert f"{kernels.release} did not come up" in " ".join((said.output + said.errors).split()), said
    assert default_of(virtual) == old
    counts(
        "a kernel that panics in a full virtual machine",
        default=default_of(virtual),
        seconds=round(time.monotonic() - began),
    )
