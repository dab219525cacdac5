"""From the command line across a restart: what is asked for, proved, refused and made the default.

The kernel's restart alone is not real: see tests/run/test_restart_runs.py.
"""

import pytest

from kvmwizard.plan.kernel_boot import choice_steps, restart_steps
from kvmwizard.plan.model import Plan, canonical_json
from tests.end_to_end.wizard import KVMWIZARD, PROOF_SECONDS, kvmwizard
from tests.facts_builder import make_facts
from tests.kvm import why_no_guests
from tests.machine.layers import ALICE_PASSWORD, PROGRAM_PYTHON
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal
from tests.run.test_in_machine import Runs
from tests.run.test_restart_runs import ENTRY, KERNEL, NEW, Restarts
from tests.run.test_tree_runs import RUNNING, carry_out_by_sudo, grub

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

STATE = "/home/alice/state"
QEMU = "/usr/bin/qemu-system-x86_64"
SAVE = """
import sys
from pathlib import Path
from kvmwizard.session import Session, SessionStore
SessionStore(Path(sys.argv[1])).save(Session(run_id=sys.argv[2], page="run"))
"""


def whole_plan() -> Plan:
    """Everything from the boot menu on, the proof included."""
    facts = make_facts(kernel={"release": RUNNING})
    (once,) = choice_steps(facts, KERNEL)
    once = once.model_copy(update={"needs": ()})
    steps = (once, *restart_steps(facts, KERNEL, "alice", QEMU, (once.id,)))
    return Plan(user="alice", qemu=QEMU, kernel_release=NEW, steps=steps)


class Waiting:
    """Alice's machine, all done but the restart and what comes after it."""

    def __init__(self, machine: ThrowawayMachine) -> None:
        self.machine = machine
        grub(machine, "", NEW)
        self.restarts = Restarts(machine)
        alice = Runs(machine, "alice")
        machine.path("/opt/plan.json").write_bytes(canonical_json(whole_plan()))
        run_id = alice.ask("take", "/opt/plan.json")
        assert carry_out_by_sudo(alice, run_id)["status"] == "needs-restart"
        saved = machine.run([PROGRAM_PYTHON, "-c", SAVE, STATE, run_id], user="alice")
        assert saved.returncode == 0, saved.stderr

    def says(self, *words: str) -> tuple[int, str]:
        """A command of alice's without a terminal: its exit code, and what it prints, on one line."""
        words = (*words, "--state-dir", STATE)
        code, output, complaints = kvmwizard(self.machine, words, user="alice", timeout=PROOF_SECONDS)
        assert "Traceback" not in complaints
        return code, " ".join((output + complaints).split())

    def verify(self) -> Terminal:
        """`kvmwizard verify` in a terminal of alice's."""
        words = [KVMWIZARD, "verify", "--state-dir", STATE]
        return Terminal.open(self.machine, words, user="alice", size=(100, 40))

    @property
    def default(self) -> str:
        said = self.machine.do(["/usr/bin/grub-editenv", "/boot/grub/grubenv", "list"])
        return next(line for line in said.splitlines() if line.startswith("saved_entry="))


@pytest.fixture
def waiting(program_machine: ThrowawayMachine) -> Waiting:
    return Waiting(program_machine)


def test_before_the_restart_apply_and_status_ask_for_it(waiting: Waiting) -> None:
    for command in ("apply", "status"):
        code, said = waiting.says(command)
        assert code == 3
        assert "waits for a restart" in said
        assert "Restart the machine when it suits you, then go on: kvmwizard apply" in said
    assert f"{NEW} runs after a restart" in waiting.says("verify")[1]
    waiting.restarts.restart(into_new=True)
    code, said = waiting.says("status")
    assert code == 3
    assert "This machine was restarted" in said


def test_where_the_old_kernel_came_back_verify_and_apply_say_so_and_how_to_see_why(waiting: Waiting) -> None:
    waiting.restarts.restart(into_new=False)
    for command in ("verify", "apply", "status"):
        code, said = waiting.says(command)
        assert code == 1, (command, said)
        assert f"Linux {NEW} did not come up" in said
        assert "journalctl -k -b -1" in said
    assert "prepare the restart once more: kvmwizard apply" in said
    assert "kvmwizard undo" in said
    assert waiting.default == f"saved_entry={ENTRY.format(RUNNING)}"


def test_only_a_good_proof_makes_the_new_kernel_the_default(waiting: Waiting) -> None:
    problem = why_no_guests()
    if problem is not None:
        pytest.skip(problem)
    machine = waiting.machine
    install = ["/usr/bin/apt-get", "install", "--yes", "--no-install-recommends", "qemu-system-x86"]
    machine.do(install, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=300)
    waiting.restarts.restart(into_new=True)
    # Nobody but root may use the device, so nothing is proved, and nothing becomes the default.
    terminal = waiting.verify()
    assert terminal.wait_for_end(PROOF_SECONDS) == 1
    assert "not made the default" in " ".join(terminal.screen.split())
    code, said = waiting.says("apply")
    assert code == 1
    assert f"So Linux {NEW} is not made the default" in said
    assert waiting.default == f"saved_entry={ENTRY.format(RUNNING)}"
    machine.do(["/usr/bin/setfacl", "-m", "u:alice:rw", "/dev/kvm"])
    code, said = waiting.says("verify")
    assert code == 0
    assert "has more to do after the restart: kvmwizard apply" in said
    terminal = waiting.verify()
    terminal.wait_for(f"Make Linux {NEW} the default now? [y/N]", seconds=PROOF_SECONDS)
    terminal.type("y\n")
    terminal.wait_for("password for alice", seconds=PROOF_SECONDS)
    terminal.type(f"{ALICE_PASSWORD}\n")
    assert terminal.wait_for_end(PROOF_SECONDS) == 0
    assert "is done" in terminal.screen
    assert waiting.default == f"saved_entry={ENTRY.format(NEW)}"
