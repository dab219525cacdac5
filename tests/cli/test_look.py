"""Looking at runs that are another user's: root may, as their owner; others are told why not."""

import json

import pytest

from tests.end_to_end.wizard import kvmwizard
from tests.machine.layers import PROGRAM_FOLDER, PROGRAM_PYTHON
from tests.machine.machine import ThrowawayMachine

pytestmark = pytest.mark.root

STATE = "/home/alice/.local/state/kvmwizard"
MAKE = f"""
from pathlib import Path
from kvmwizard.run.store import RunStore
from kvmwizard.plan.model import Plan, RunCommand, FileAbsent, Step
from kvmwizard.words import say
step = Step(
    id="first", title=say("a step"), root=False, seconds=1, conditions=(FileAbsent(path="/nowhere"),),
    actions=(RunCommand(argv=("/bin/true",)),),
)
store = RunStore(Path("{STATE}"))
run_id = store.create(Plan(user="alice", qemu=None, steps=(step,)))
store.log_path(run_id, "first").write_bytes(b"what alice built\\n")
print(run_id)
"""


@pytest.fixture
def run_id(program_machine: ThrowawayMachine) -> str:
    """A run of alice's."""
    made = program_machine.run([PROGRAM_PYTHON, "-c", MAKE], user="alice")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_root_sees_everybody_s_runs_and_others_are_told_whose_they_are(
    program_machine: ThrowawayMachine, run_id: str
) -> None:
    at_alice_s = ["--state-dir", STATE]
    for home_mode in ("700", "755"):
        program_machine.do(["chmod", home_mode, "/home/alice"])
        for words in (["status"], ["log"], ["log", "--follow"]):
            code, output, complaints = kvmwizard(program_machine, [*words, *at_alice_s], user="bob")
            assert (code, output) == (2, "")
            assert f"The runs in {STATE} are another user's" in complaints
    # Even where nobody but root may read the program.
    program_machine.do(["chmod", "700", PROGRAM_FOLDER])
    code, output, complaints = kvmwizard(program_machine, ["status", *at_alice_s])
    assert code == 3, complaints
    assert output.startswith(f"Run {run_id} was agreed to, but has not begun.")
    code, output, complaints = kvmwizard(program_machine, ["status", "--json", *at_alice_s])
    assert json.loads(output)["run"]["id"] == run_id, complaints
    code, output, complaints = kvmwizard(program_machine, ["log", *at_alice_s])
    assert (code, output, complaints) == (0, "what alice built\n", "")


def test_root_is_led_nowhere_that_the_owner_of_the_run_may_not_go(
    program_machine: ThrowawayMachine, run_id: str
) -> None:
    program_machine.path("/root/first.log").write_text("of root alone")
    logs = f"{STATE}/runs/{run_id}/logs"
    program_machine.do(["rm", "-r", logs])
    program_machine.do(["ln", "-s", "/root", logs])
    code, output, complaints = kvmwizard(program_machine, ["log", "--state-dir", STATE])
    assert (code, output) == (1, "")
    assert "cannot be used: Permission denied" in complaints
    assert "of root alone" not in output + complaints


def test_who_asks_by_sudo_is_told_where_their_own_runs_are(
    program_machine: ThrowawayMachine, run_id: str
) -> None:
    for words in (["status"], ["log"]):
        own = program_machine.do(["id", "-u", "alice"]).strip()
        _, output, complaints = kvmwizard(program_machine, words, env={"SUDO_UID": own})
        assert (output + complaints).startswith("Root has run nothing yet.")
        assert f"or with --state-dir {STATE}\n" in output + complaints
    assert run_id in kvmwizard(program_machine, ["status"], user="alice")[1]
