"""Where no wizard can be shown, and where nothing may be believed or written: plain sentences."""

import json
import time

import pytest

from tests.end_to_end.wizard import KVMWIZARD, kvmwizard
from tests.machine.layers import PROGRAM_PYTHON
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = pytest.mark.root


def has_kvm(machine: ThrowawayMachine) -> bool:
    return machine.path("/dev/kvm").exists()


def test_without_a_terminal_check_and_plan_are_plain_text(program_machine: ThrowawayMachine) -> None:
    kvmwizard(program_machine, ["--version"])
    started = time.monotonic()
    code, output, complaints = kvmwizard(program_machine, [])
    assert time.monotonic() - started < 3  # a second on an idle machine
    assert "/dev/kvm" in output
    assert "qemu-system-x86" in output
    assert "\x1b" not in output + complaints
    assert "Traceback" not in complaints
    assert code in {0, 1}


def test_a_dumb_terminal_gets_plain_text(program_machine: ThrowawayMachine) -> None:
    script = f"import pty, sys; sys.exit(pty.spawn(['{KVMWIZARD}']) >> 8)"
    result = program_machine.run([PROGRAM_PYTHON, "-c", script], env={"TERM": "dumb"}, input="")
    assert "/dev/kvm" in result.stdout
    assert "qemu-system-x86" in result.stdout
    assert "\x1b" not in result.stdout


def test_check_judges_for_the_user_in_question(program_machine: ThrowawayMachine) -> None:
    if not has_kvm(program_machine):
        pytest.skip("this machine has no /dev/kvm to judge")
    code, output, _ = kvmwizard(program_machine, ["check", "--json"], user="alice")
    report = json.loads(output)
    failed = [check for check in report["checks"] if check["outcome"] == "fail"]
    assert (code, report["ready"]) == (1, False)
    assert any("permission" in str(check.get("cause")) for check in failed), failed
    program_machine.do(["setfacl", "-m", "u:alice:rw", "/dev/kvm"])
    code, output, _ = kvmwizard(program_machine, ["check", "--json"], user="alice")
    assert (code, json.loads(output)["ready"]) == (0, True)


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(["mkdir -p {state}", "touch {state}/session.json"], id="empty"),
        pytest.param(["mkdir -p {state}", "echo '[1, 2' > {state}/session.json"], id="not JSON"),
    ],
)
def test_an_unreadable_session_is_set_aside_and_said(
    program_machine: ThrowawayMachine, commands: list[str]
) -> None:
    state = "/root/state"
    for command in commands:
        program_machine.do(["sh", "-c", command.format(state=state)])
    program_machine.do(["chmod", "700", state])
    terminal = Terminal.open(program_machine, [KVMWIZARD, "--state-dir", state])
    terminal.wait_for("Welcome", "could not be read")
    assert "session.json.unreadable" in program_machine.do(["ls", state])


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        pytest.param(
            ["echo '{{\"schema_version\": 99}}' > {state}/session.json", "chown alice {state}/session.json"],
            "newer",
            id="newer schema",
        ),
        pytest.param(
            ["touch {state}/session.json", "chown bob {state}/session.json"], "belongs to", id="owner"
        ),
        pytest.param(["ln -s /etc/passwd {state}/session.json"], "symbolic link", id="symlink"),
        pytest.param(
            ["mount -t tmpfs -o ro,mode=700,uid=$(id -u alice) none {state}"], "not writable", id="read-only"
        ),
        pytest.param(
            [
                "mount -t tmpfs -o size=4k,mode=700,uid=$(id -u alice) none {state}",
                "head -c 4096 /dev/zero > {state}/filler || true",
            ],
            "No space left",
            id="full",
        ),
        pytest.param(["chmod 500 {state}"], "not writable", id="not writable"),
    ],
)
def test_a_state_directory_that_cannot_be_used_is_said_and_kept(
    program_machine: ThrowawayMachine, commands: list[str], said: str
) -> None:
    state = "/home/alice/state"
    program_machine.do(["install", "-d", "-m", "700", "-o", "alice", state])
    for command in commands:
        program_machine.do(["sh", "-c", command.format(state=state)])
    before = program_machine.run(["sh", "-c", f"ls -l {state}/session.json; cat {state}/session.json"]).stdout
    terminal = Terminal.open(program_machine, [KVMWIZARD, "--state-dir", state], user="alice")
    assert terminal.wait_for_end() == 2
    screen = terminal.screen.replace("\n", "")
    assert said in screen
    assert state in screen
    assert "Traceback" not in screen
    assert (
        program_machine.run(["sh", "-c", f"ls -l {state}/session.json; cat {state}/session.json"]).stdout
        == before
    )
