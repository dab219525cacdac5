import json

import pytest
from rich.cells import cell_len

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.json import proof_report
from kvmwizard.proof.model import Proof, ProofLevel
from kvmwizard.proof.text import proof_as_text
from kvmwizard.words import say

REMEDY = say("Give {user} access: run kvmwizard, and choose {user} on the page Access.", user="ann")
COMMAND_LINE = ("/usr/bin/qemu-system-x86_64", "-enable-kvm", "-drive", "file=disk.img,format=raw")
GOOD = Proof(
    user="ann",
    qemu="/usr/bin/qemu-system-x86_64",
    levels=(
        ProofLevel(
            id="tiny-guest",
            title=say("Guest through /dev/kvm"),
            outcome=Outcome.PASS,
            found=say("8 instructions"),
            seconds=0.1,
        ),
    ),
    good=True,
    verdict=say("KVM works."),
    command_line=COMMAND_LINE,
)
BAD = Proof(
    user="ann",
    qemu="/usr/bin/qemu-system-x86_64",
    levels=(
        ProofLevel(
            id="tiny-guest",
            title=say("Guest through /dev/kvm"),
            outcome=Outcome.FAIL,
            found=say("The guest did not run as ann: cannot open /dev/kvm: Permission denied."),
            seconds=0.1,
            remedy=REMEDY,
        ),
        ProofLevel(
            id="query-kvm",
            title=say("在虚拟机里运行并且检查客户机是否真的启动了"),
            outcome=Outcome.FAIL,
            found=say("客户机没有启动、因为没有打开设备的权限、请先把用户加入设备的组、然后重新登录。"),
            seconds=0.1,
            remedy=REMEDY,
        ),
    ),
    good=False,
    verdict=say("KVM does not work for ann."),
    command_line=COMMAND_LINE,
)


@pytest.mark.parametrize("width", [20, 40, 63, 64, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(cell_len(line) <= width for line in proof_as_text(BAD, width, colour=False).splitlines())


def test_without_colour_there_is_no_escape() -> None:
    assert "\x1b" not in proof_as_text(BAD, 80, colour=False)
    assert "\x1b[1;31m✖ FAIL\x1b[0m" in proof_as_text(BAD, 80, colour=True)


def test_the_same_remedy_is_said_once() -> None:
    assert proof_as_text(BAD, 120, colour=False).count("Give ann access") == 1


def test_the_command_line_can_be_copied_where_guests_run() -> None:
    line = "  /usr/bin/qemu-system-x86_64 -enable-kvm -drive file=disk.img,format=raw"
    assert line in proof_as_text(GOOD, 40, colour=False).splitlines()
    assert "-enable-kvm" not in proof_as_text(BAD, 80, colour=False)


def test_where_the_guest_is_seen_is_said_with_the_command_line() -> None:
    said = " ".join(proof_as_text(GOOD, 80, colour=False).split())
    assert said.endswith("it names the VNC address at which the guest is seen.")


def test_the_report_is_json() -> None:
    report = json.loads(json.dumps(proof_report(BAD)))
    assert report["good"] is False
    assert report["verdict"] == "KVM does not work for ann."
    assert report["user"] == "ann"
    assert report["qemu"] == "/usr/bin/qemu-system-x86_64"
    assert report["command_line"] == list(COMMAND_LINE)
    assert report["levels"][0] == {
        "id": "tiny-guest",
        "title": "Guest through /dev/kvm",
        "outcome": "fail",
        "found": "The guest did not run as ann: cannot open /dev/kvm: Permission denied.",
        "seconds": 0.1,
        "remedy": REMEDY.english,
    }
