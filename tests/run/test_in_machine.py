"""Whole runs with real root, apt and sudo, in throwaway machines."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pexpect
import pytest

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.model import (
    DeviceAclGrants,
    DeviceGroup,
    FileHolds,
    GrantDeviceAcl,
    GroupExists,
    PackageListsFresh,
    PackagesInstalled,
    Plan,
    RunCommand,
    SetDeviceGroup,
    Step,
    UserInGroup,
    WriteFile,
    canonical_json,
)
from kvmwizard.plan.software import run_command
from kvmwizard.words import say
from tests.machine.layers import ALICE_PASSWORD, PROGRAM_PYTHON, Layer
from tests.machine.machine import ThrowawayMachine

pytestmark = pytest.mark.root

CONTROL = Path(__file__).with_name("control.py")
RULES = "/etc/udev/rules.d/99-kvmwizard.rules"
RULE = 'KERNEL=="kvm", GROUP="kvm", MODE="0660", OPTIONS+="static_node=kvm"\n'
WAIT_SECONDS = 120.0
QUIET_SECONDS = 10.0
LAST_WORDS = {"run-ended", "run-stopped", "root-needed", "restart-needed"}

State = dict[str, Any]
EMPTY: Mapping[str, str] = {}


class Runs:
    """The runs of one user of a machine, as a front end handles them."""

    def __init__(self, machine: ThrowawayMachine, user: str = "root") -> None:
        self.machine = machine
        self.user = user
        self.home = "/root" if user == "root" else f"/home/{user}"
        machine.path("/opt/control.py").write_bytes(CONTROL.read_bytes())

    def argv(self, verb: str, subject: str) -> list[str]:
        return [PROGRAM_PYTHON, "/opt/control.py", f"{self.home}/state", verb, subject]

    def ask(self, verb: str, subject: str) -> str:
        said = self.machine.run(self.argv(verb, subject), user=self.user)
        assert said.returncode == 0, said.stderr
        return said.stdout.strip()

    def take(self, *steps: Step) -> str:
        plan = Plan(user="alice", qemu=None, steps=steps)
        path = self.machine.path("/opt/plan.json")
        path.write_bytes(canonical_json(plan))
        return self.ask("take", "/opt/plan.json")

    def forget_later_than(self, run_id: str) -> None:
        """As if what later runs have mended had been mended by hand: they would be taken back before it."""
        folder = self.directory(run_id).parent
        for name in sorted(each.name for each in folder.iterdir()):
            if name > run_id:
                shutil.rmtree(folder / name)

    def state(self, run_id: str) -> State:
        found: State = json.loads(self.ask("state", run_id))
        return found

    def wait(self, run_id: str, wanted: Callable[[State], bool]) -> State:
        deadline = time.monotonic() + WAIT_SECONDS
        while not wanted(state := self.state(run_id)):
            assert time.monotonic() < deadline, state
        return state

    def end(self, run_id: str) -> State:
        self._wait_for_the_journal_s_last_word(run_id)
        return self.wait(run_id, lambda state: state["status"] != "running")

    def _wait_for_the_journal_s_last_word(self, run_id: str) -> None:
        """Reading the journal from outside costs less than asking again and again; without a word, ask."""
        deadline = time.monotonic() + QUIET_SECONDS
        while self.events(run_id)[-1]["event"] not in LAST_WORDS and time.monotonic() < deadline:
            time.sleep(0.05)

    def carry_out(self, run_id: str) -> State:
        self.ask("start", run_id)
        return self.end(run_id)

    def directory(self, run_id: str) -> Path:
        return self.machine.path(f"{self.home}/state/runs/{run_id}")

    def log(self, run_id: str, step: str) -> str:
        return (self.directory(run_id) / "logs" / f"{step}.log").read_text(encoding="utf-8")

    def events(self, run_id: str) -> list[dict[str, Any]]:
        lines = (self.directory(run_id) / "journal.jsonl").read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def kill_runner(self) -> bool:
        """Whether there was one."""
        pattern = "-m kvmwizard.run.runner_process"
        said = self.machine.run(["/usr/bin/pkill", "--signal", "KILL", "-f", "--", pattern])
        assert said.returncode in {0, 1}, said.stderr
        return said.returncode == 0


@pytest.fixture
def runs(program_machine: ThrowawayMachine) -> Runs:
    return Runs(program_machine)


def step(step_id: str, condition: Any, *actions: Any) -> Step:
    return Step(
        id=step_id, title=say("a step"), root=True, seconds=1, conditions=(condition,), actions=actions
    )


GROUP = step(
    "access.group",
    GroupExists(group="kvm"),
    RunCommand(argv=("/usr/sbin/groupadd", "--system", "--force", "kvm")),
)
WRITE = step(
    "access.rule",
    FileHolds(path=RULES, text=RULE, mode=0o644),
    WriteFile(path=RULES, text=RULE, mode=0o644),
)


def member(group: str, user: str = "alice") -> Step:
    return step(
        "access.member",
        UserInGroup(user=user, group=group),
        RunCommand(argv=("/usr/bin/gpasswd", "--add", user, group)),
    )


def test_access_is_given_and_taken_back_exactly(runs: Runs) -> None:
    device = step(
        "access.device",
        DeviceGroup(path="/dev/kvm", group="kvm", mode=0o660),
        SetDeviceGroup(path="/dev/kvm", group="kvm", mode=0o660),
    ).model_copy(update={"needs": ("access.group", "access.now")})
    now = step(
        "access.now",
        DeviceAclGrants(path="/dev/kvm", user="alice"),
        GrantDeviceAcl(path="/dev/kvm", user="alice"),
    )
    look = ["/usr/bin/getfacl", "--absolute-names", "/dev/kvm"]
    before = runs.machine.do(look)
    run_id = runs.take(
        GROUP, now, device, member("kvm").model_copy(update={"needs": ("access.group",)}), WRITE
    )
    assert runs.carry_out(run_id)["status"] == "done"
    given = runs.machine.do(look)
    for line in ("# group: kvm", "user:alice:rw-", "group::rw-", "mask::rw-", "other::---"):
        assert line in given
    assert runs.machine.path(RULES).read_text(encoding="ascii") == RULE
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    assert runs.machine.do(look) == before
    assert not runs.machine.path(RULES).exists()
    assert "kvm" not in runs.machine.do(["/usr/bin/getent", "group"])


@pytest.mark.parametrize(
    "trap",
    [
        f"ln -s /etc/victim {RULES}",
        f"touch /etc/victim; ln /etc/victim {RULES}",
        f"mkdir {RULES}",
        f"touch {RULES}; chown alice {RULES}",
        f"mkfifo {RULES}",
        "chmod 777 /etc/udev/rules.d",
        "mv /etc/udev/rules.d /home/alice/rules; ln -s /home/alice/rules /etc/udev/rules.d",
    ],
)
def test_root_writes_no_file_where_somebody_else_has_a_hand_in_the_place(runs: Runs, trap: str) -> None:
    runs.machine.do(["/bin/sh", "-ec", f"mkdir -p /etc/udev/rules.d; {trap}"])
    run_id = runs.take(WRITE)
    state = runs.carry_out(run_id)
    assert state["status"] == "failed"
    assert state["steps"]["access.rule"]["words"]
    victim = runs.machine.path("/etc/victim")
    assert not victim.exists() or victim.read_bytes() == b""
    assert not list(runs.machine.path("/home/alice").glob("rules/*"))


def test_nobody_is_put_into_a_group_that_is_not_the_device_s(runs: Runs) -> None:
    state = runs.carry_out(runs.take(member("sudo", "bob")))
    assert state["status"] == "failed"
    assert "sudo" not in runs.machine.do(["/usr/bin/id", "-nG", "bob"])


def test_a_user_who_does_not_exist_is_named(runs: Runs) -> None:
    runs.carry_out(runs.take(GROUP))
    state = runs.carry_out(runs.take(member("kvm", "mallory")))
    assert "There is no user mallory" in state["steps"]["access.member"]["words"]


def test_who_may_not_use_sudo_is_told_what_to_do_instead(program_machine: ThrowawayMachine) -> None:
    bob = Runs(program_machine, "bob")
    run_id = bob.take(GROUP)
    state = bob.carry_out(run_id)
    assert (state["status"], state["root_needed"]) == ("needs-root", True)
    said = bob.ask("root", run_id)
    assert "a password is required" in said
    assert "kvmwizard --state-dir /home/bob/state plan --format sh" in said
    purge = ["/usr/bin/dpkg", "--force-remove-essential", "--purge", "sudo"]
    program_machine.do(purge, env={"SUDO_FORCE_REMOVE": "yes"})
    assert "There is no sudo" in bob.ask("root", run_id)


def sudo(runs: Runs, run_id: str, *passwords: str, environment: Mapping[str, str] = EMPTY) -> str:
    """Ask for root on a terminal of its own, type the passwords, and return what was said."""
    argv = runs.machine.command(
        runs.argv("root", run_id), user=runs.user, env={"TERM": "xterm", **environment}
    )
    terminal = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=30)
    for password in passwords:
        terminal.expect("password for alice: ")
        terminal.sendline(password)
    terminal.expect(pexpect.EOF)
    said = terminal.before
    terminal.close()
    assert isinstance(said, str)
    return said


@pytest.mark.slow
def test_three_wrong_passwords_change_nothing(program_machine: ThrowawayMachine) -> None:
    alice = Runs(program_machine, "alice")
    run_id = alice.take(GROUP)
    said = sudo(alice, run_id, "one", "two", "three")
    assert "Nothing was done as root" in said
    assert alice.carry_out(run_id)["status"] == "needs-root"


def test_a_killed_helper_is_asked_for_again_and_the_run_goes_on(program_machine: ThrowawayMachine) -> None:
    alice = Runs(program_machine, "alice")
    run_id = alice.take(GROUP)
    assert "Nothing" not in sudo(alice, run_id, ALICE_PASSWORD)
    assert not alice.state(run_id)["root_needed"]
    program_machine.run(["/usr/bin/pkill", "--signal", "KILL", "-f", run_id])
    assert alice.carry_out(run_id)["status"] == "needs-root"
    sudo(alice, run_id, ALICE_PASSWORD)  # a new terminal has no ticket of the old one
    assert alice.carry_out(run_id)["status"] == "done"
    assert program_machine.run(["/usr/bin/pgrep", "-f", run_id]).stdout == ""


@pytest.mark.slow
def test_a_runner_killed_in_every_step_ends_as_if_it_had_not_been(runs: Runs) -> None:
    run_id, killed = runs.ask("make", "alice"), 0
    for name in runs.state(run_id)["steps"]:
        runs.ask("start", run_id)
        deadline = time.monotonic() + WAIT_SECONDS
        while not {name, "run-ended"} & {event.get("step", event["event"]) for event in runs.events(run_id)}:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        killed += runs.kill_runner()
    assert killed > 1
    state = runs.carry_out(run_id)
    assert state["status"] == "done"
    assert {each["status"] for each in state["steps"].values()} == {"done"}
    # What root was doing it went on with: one attempt each, whoever was watching.
    assert {each["attempts"] for each in state["steps"].values()} == {1}
    assert runs.log(run_id, "packages.install").count("+ /usr/bin/apt-get") == 2  # download, then install
    assert runs.machine.run(["/usr/bin/qemu-system-x86_64", "--version"]).returncode == 0
    again = runs.carry_out(runs.ask("make", "alice"))
    assert [name for name, each in again["steps"].items() if each["status"] == "done"] == ["access.prove"]


@pytest.mark.slow
def test_an_installation_killed_halfway_is_mended_by_the_retry(runs: Runs) -> None:
    run_id = runs.ask("make", "alice")
    runs.ask("start", run_id)
    runs.wait(run_id, lambda state: "Unpacking" in str(state["progress"]))
    runs.machine.run(["/bin/sh", "-c", "pkill -KILL -x dpkg; pkill -KILL -x apt-get"])
    state = runs.end(run_id)
    assert state["status"] == "failed"
    assert "killed from outside" in state["steps"]["packages.install"]["words"]
    runs.ask("retry", run_id)
    assert runs.end(run_id)["status"] == "done"
    assert "+ /usr/bin/dpkg --force-confold --configure -a" in runs.log(run_id, "packages.install")
    assert runs.machine.do(["/usr/bin/dpkg", "--audit"]) == ""


def says_that_it_waits(step_id: str) -> Callable[[State], bool]:
    return lambda state: "Waiting" in str(state["progress"].get(step_id))


HOLD_LOCK = """
import fcntl, sys, time
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.slow
def test_apt_s_locks_are_waited_for_in_words_and_a_stop_does_not_wait(runs: Runs) -> None:
    run_id = runs.ask("make", "alice")
    holders = []
    for lock, seconds in (("/var/lib/apt/lists/lock", "3"), ("/var/lib/dpkg/lock-frontend", "600")):
        holder = runs.machine.popen(["/usr/bin/python3", "-c", HOLD_LOCK, lock, seconds])
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holders.append(holder)
    runs.ask("start", run_id)
    for name in ("packages.refresh", "packages.install"):
        state = runs.wait(run_id, says_that_it_waits(name))
        assert "(python3)" in state["progress"][name]
    begun = time.monotonic()
    runs.ask("stop", run_id)
    state = runs.end(run_id)
    assert time.monotonic() - begun < 10
    assert state["status"] == "stopped"
    assert state["steps"]["packages.install"]["status"] == "waiting"
    runs.machine.run(["/usr/bin/pkill", "--signal", "KILL", "-f", "lock-frontend"])
    assert runs.carry_out(run_id)["status"] == "done"
    for holder in holders:
        holder.kill()
        holder.communicate()


@pytest.mark.slow
def test_the_terminal_may_close_and_a_stop_does_not_cut_dpkg_off(program_machine: ThrowawayMachine) -> None:
    alice = Runs(program_machine, "alice")
    run_id = alice.ask("make", "alice")
    both = f"{' '.join(alice.argv('root', run_id))}; {' '.join(alice.argv('start', run_id))}; sleep 600"
    argv = program_machine.command(["/bin/sh", "-c", both], user="alice", env={"TERM": "xterm"})
    terminal = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=30)
    terminal.expect("password for alice: ")
    terminal.sendline(ALICE_PASSWORD)
    alice.wait(run_id, lambda state: state["steps"]["packages.install"]["status"] == "running")
    terminal.close(force=True)
    alice.wait(run_id, lambda state: "Unpacking" in str(state["progress"]))
    alice.ask("stop", run_id)
    state = alice.end(run_id)
    assert state["status"] == "stopped"
    assert state["steps"]["packages.install"]["status"] == "done"
    assert program_machine.do(["/usr/bin/dpkg", "--audit"]) == ""
    assert alice.carry_out(run_id)["status"] == "done"


@pytest.fixture
def lonely_machine(program_base: Layer) -> Iterator[ThrowawayMachine]:
    """A machine with a loopback device alone, and that one down."""
    with ThrowawayMachine.start(program_base.stack, network=False) as machine:
        yield machine


@pytest.mark.slow
def test_without_a_network_the_failure_says_so_and_the_rest_is_done(lonely_machine: ThrowawayMachine) -> None:
    lonely_machine.do(["/bin/sh", "-c", "rm -rf /var/cache/apt/archives/*.deb"])
    runs = Runs(lonely_machine)
    run_id = runs.ask("make", "alice")
    state = runs.carry_out(run_id)
    assert state["status"] == "failed"
    assert "package servers cannot be reached" in state["steps"]["packages.install"]["words"]
    assert state["steps"]["access.prove"]["status"] == "done"


MIRROR = """
set -e
mkdir -p /opt/mirror /tmp/package/DEBIAN
cd /opt/mirror
package() {
    cat > /tmp/package/DEBIAN/control << END
Package: tiny-package
Version: $1
Architecture: all
Maintainer: nobody
Description: tiny
END
    dpkg-deb --build /tmp/package tiny_$1.deb
    dpkg-deb --field tiny_$1.deb > Packages
    echo "Filename: ./tiny_$1.deb" >> Packages
    echo "Size: $(stat --format %s tiny_$1.deb)" >> Packages
    echo "SHA256: $(sha256sum < tiny_$1.deb | cut -d ' ' -f 1)" >> Packages
}
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] http://127.0.0.1:8000 ./' > /etc/apt/sources.list
ip link set lo up
package 1
setsid python3 -m http.server --bind 127.0.0.1 8000 > /dev/null 2>&1 &
sleep 1
apt-get update
mkdir -p /var/lib/apt/periodic
touch /var/lib/apt/periodic/update-success-stamp
rm tiny_1.deb
package 2
"""
"""A mirror on which a newer version has just taken the place of the one that the lists name."""


def test_lists_that_the_mirror_has_outrun_are_renewed_once_and_the_step_tried_again(
    lonely_machine: ThrowawayMachine,
) -> None:
    runs = Runs(lonely_machine)
    runs.machine.do(["/bin/sh", "-c", MIRROR])
    wanted = PackagesInstalled(manager="apt", names=("tiny-package",))
    apt = MANAGERS["apt"]
    refresh = step(
        "packages.refresh",
        PackageListsFresh(manager="apt", seconds=86400, wanted=wanted),
        *map(run_command, apt.refresh()),
    )
    install = step("packages.install", wanted, *map(run_command, apt.install(("tiny-package",))))
    run_id = runs.take(refresh, install.model_copy(update={"needs": ("packages.refresh",)}))
    state = runs.carry_out(run_id)
    assert state["status"] == "done"
    assert "404" in runs.log(run_id, "packages.install")
    assert [state["steps"][name]["attempts"] for name in ("packages.refresh", "packages.install")] == [1, 2]
    assert "tiny-package 2" in state["steps"]["packages.install"]["words"]
