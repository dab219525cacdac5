"""Plans that are swapped after they were agreed to, and journals of another user: root does none of it."""

import json
import shlex
from collections.abc import Callable

import pytest

from kvmwizard.plan.model import Plan, canonical_json, plan_digest
from tests.conftest import Counts
from tests.machine.layers import ALICE_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.run.test_in_machine import GROUP, Runs, member, sudo

pytestmark = pytest.mark.root

AGREED = Plan(user="alice", qemu=None, steps=(GROUP, member("kvm", "alice")))
EVIL = Plan(user="alice", qemu=None, steps=(GROUP, member("kvm", "bob")))
"""Carried out, it lets bob use the device. Its steps have the names of the agreed ones."""


@pytest.fixture
def alice(program_machine: ThrowawayMachine) -> Runs:
    return Runs(program_machine, "alice")


def agreed_run(alice: Runs) -> str:
    return alice.take(*AGREED.steps)


def bob_got_in(machine: ThrowawayMachine) -> bool:
    return "kvm" in machine.do(["/usr/bin/id", "-nG", "bob"]).split()


def swap_plan(alice: Runs, run_id: str) -> None:
    """What any program of alice's can do: another plan in the place of the agreed one."""
    (alice.directory(run_id) / "plan.json").write_bytes(canonical_json(EVIL))


def swap_plan_and_journal(alice: Runs, run_id: str) -> None:
    """The journal names the other plan, too."""
    swap_plan(alice, run_id)
    journal = alice.directory(run_id) / "journal.jsonl"
    text = journal.read_text(encoding="ascii")
    assert plan_digest(AGREED) in text
    journal.write_text(text.replace(plan_digest(AGREED), plan_digest(EVIL)), encoding="ascii")


def end(alice: Runs, run_id: str) -> str:
    """How it ends: the run's status, or "refused" where nobody takes it on."""
    if alice.machine.run(alice.argv("start", run_id), user="alice").returncode != 0:
        return "refused"
    return str(alice.end(run_id)["status"])


def plan_swapped_before_the_password(alice: Runs) -> str:
    run_id = agreed_run(alice)
    swap_plan(alice, run_id)
    said = alice.machine.run(alice.argv("root", run_id), user="alice")
    assert "not the one that was agreed to" in said.stderr
    return end(alice, run_id)


def plan_swapped_after_the_password(alice: Runs) -> str:
    run_id = agreed_run(alice)
    sudo(alice, run_id, ALICE_PASSWORD)
    swap_plan(alice, run_id)
    return end(alice, run_id)


def plan_and_journal_swapped_after_the_password(alice: Runs) -> str:
    run_id = agreed_run(alice)
    sudo(alice, run_id, ALICE_PASSWORD)
    swap_plan_and_journal(alice, run_id)
    return end(alice, run_id)


REVIEW = f"""
import sys
from pathlib import Path
from kvmwizard.plan.model import Plan
from kvmwizard.run.launch import open_root_helper
from kvmwizard.run.store import RunStore
store = RunStore(Path(sys.argv[1]))
run_id = store.create(Plan.model_validate_json(Path("/opt/plan.json").read_bytes()))
folder = store.directory(run_id)
journal = folder / "journal.jsonl"
text = journal.read_text()
(folder / "plan.json").write_bytes(Path("/opt/evil.json").read_bytes())
journal.write_text(text.replace({plan_digest(AGREED)!r}, {plan_digest(EVIL)!r}))
refused = open_root_helper(store, run_id)
sys.exit(refused.words.english if refused else "run " + run_id)
"""
"""What the wizard does at Review, with the attacker's hand between the agreement and the password."""


class Reviewing(Runs):
    """The same terminal, another program."""

    def argv(self, verb: str, subject: str) -> list[str]:
        return [super().argv(verb, subject)[0], "-c", REVIEW, f"{self.home}/state"]


def plan_and_journal_swapped_between_review_and_password(alice: Runs) -> str:
    alice.machine.path("/opt/plan.json").write_bytes(canonical_json(AGREED))
    alice.machine.path("/opt/evil.json").write_bytes(canonical_json(EVIL))
    said = sudo(Reviewing(alice.machine, "alice"), "", ALICE_PASSWORD)
    run_id = said.split("run ")[-1].strip()
    logged = alice.machine.run(["/usr/bin/pgrep", "-af", run_id]).stdout
    assert plan_digest(AGREED) in logged
    assert plan_digest(EVIL) not in logged
    return end(alice, run_id)


def another_step_is_asked_of_the_helper(alice: Runs) -> str:
    run_id = agreed_run(alice)
    sudo(alice, run_id, ALICE_PASSWORD)
    ask = (
        "import sys; from kvmwizard.run.root_client import RootClient, HelperRefused;"
        "client = RootClient.connect(sys.argv[1], sys.argv[2])\n"
        "try: client.ask({'verb': 'do', 'step': 'access.bob', 'attempt': 1})\n"
        "except HelperRefused as refused: sys.exit(refused.code)"
    )
    argv = [alice.argv("", "")[0], "-c", ask, run_id, plan_digest(AGREED)]
    said = alice.machine.run(argv, user="alice").stderr.strip()
    return {"unknown-step": "refused"}.get(said, said)


PLAN_TRIES: dict[Callable[[Runs], str], set[str]] = {
    plan_swapped_before_the_password: {"refused"},
    plan_swapped_after_the_password: {"refused"},
    plan_and_journal_swapped_after_the_password: {"needs-root"},
    plan_and_journal_swapped_between_review_and_password: {"needs-root"},
    another_step_is_asked_of_the_helper: {"refused"},
}
"""Each way, and how it may end; never with bob in the group."""


@pytest.mark.slow
def test_a_plan_that_is_swapped_is_not_carried_out(alice: Runs, counts: Counts) -> None:
    successes = []
    for attack, ends in PLAN_TRIES.items():
        ended = attack(alice)
        if ended not in ends or bob_got_in(alice.machine):
            successes.append((attack.__name__, ended))
    counts("attackers: plans swapped after the agreement", tries=len(PLAN_TRIES), successes=len(successes))
    assert successes == []
    # What was agreed to is carried out, as long as nobody touches it.
    run_id = agreed_run(alice)
    sudo(alice, run_id, ALICE_PASSWORD)
    assert end(alice, run_id) == "done"


JOURNAL_TRIES = {
    "all of the state is the other user's": "cp -a $bob /root/state",
    "the state is a link to the other user's": "ln -s $bob /root/state",
    "the runs are a link": "mkdir -m 700 /root/state; ln -s $bob/runs /root/state/runs",
    "the run is a link": "mkdir -pm 700 /root/state/runs; ln -s $bob/runs/$run /root/state/runs/$run",
    "the run's files are the other user's": "cp -a $bob /root/state; cd /root/state; chown root: . runs",
    "the journal is a link": "$own; rm $mine/journal.jsonl; ln -s $theirs/journal.jsonl $mine",
    "the journal is a second name": "$own; rm $mine/journal.jsonl; ln $theirs/journal.jsonl $mine",
    "the journal is the other user's": "$own; chown bob: $mine/journal.jsonl",
    "others may write the journal": "$own; chmod 666 $mine/journal.jsonl",
    "the plan is a link": "$own; rm $mine/plan.json; ln -s $theirs/plan.json $mine",
    "the plan is the other user's": "$own; chown bob: $mine/plan.json",
}
"""By which commands root's state comes to hold bob's run."""


def journal_tried(machine: ThrowawayMachine, run_id: str, commands: str) -> str:
    """Root takes the run on; empty where it did, else what it said."""
    own = "cp -a $bob /root/state; chown -R root: /root/state"
    names = {
        "bob": "/home/bob/state",
        "run": run_id,
        "mine": f"/root/state/runs/{run_id}",
        "theirs": f"/home/bob/state/runs/{run_id}",
    }
    script = commands.replace("$own", own)
    set_names = "; ".join(f"{name}={shlex.quote(value)}" for name, value in names.items())
    machine.do(["/bin/sh", "-ec", f"{set_names}; rm -rf /root/state; {script}"])
    root = Runs(machine)
    said = machine.run(root.argv("start", run_id))
    if said.returncode == 0:
        root.end(run_id)
        return ""
    return said.stderr


@pytest.mark.slow
def test_root_takes_no_run_of_another_user_for_its_own(
    program_machine: ThrowawayMachine, counts: Counts
) -> None:
    machine = program_machine
    bob = Runs(machine, "bob")
    run_id = bob.take(*EVIL.steps)
    said = {name: journal_tried(machine, run_id, commands) for name, commands in JOURNAL_TRIES.items()}
    # Who reads another's state by its name gets the same answer.
    argv = [word.replace("/root/state", "/home/bob/state") for word in Runs(machine).argv("start", run_id)]
    said["the state directory is named"] = machine.run(argv).stderr
    successes = [name for name, words in said.items() if not words or "Traceback" in words]
    counts("attackers: journals of another user", tries=len(said), successes=len(successes))
    assert successes == [], json.dumps(said)
    assert not bob_got_in(machine)
    # The same run in root's own hands is carried out: nothing but whose it is was refused.
    assert journal_tried(machine, run_id, "$own") == ""
    assert bob_got_in(machine)
