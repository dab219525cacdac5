"""This machine, judged by real reads: as the caller, and as an ordinary user."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.checks.judge import judge
from kvmwizard.checks.results import Outcome
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.host.kvm_device import GuestRun

CHECKOUT = Path(__file__).parents[2]
NOBODY = 65534
REPORT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from kvmwizard.checks.json import check_report
from kvmwizard.checks.judge import judge
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
# All that is imported late is imported now: it may lie in a folder that only root can enter.
facts = gather(Host())
check_report(judge(facts), facts)
user = int(sys.argv[2])
os.setgroups([])
os.setgid(user)
os.setuid(user)
facts = gather(Host())
print(json.dumps(check_report(judge(facts), facts)))
"""
DEVICE = Path("/dev/kvm")


def closed_to_others() -> bool:
    """Whether the mode keeps out whoever is neither owner nor in the group, and no list lets anyone in."""
    return DEVICE.exists() and DEVICE.stat().st_mode & 0o006 == 0 and not os.listxattr(DEVICE)


def report_as_nobody(folder: Path) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", REPORT, str(CHECKOUT), str(NOBODY)],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    report: dict[str, Any] = json.loads(shown.stdout)
    return report


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
@pytest.mark.skipif(not closed_to_others(), reason="/dev/kvm is not there, or open to every user")
def test_an_ordinary_user_is_refused_for_permission_and_nothing_else(tmp_path: Path) -> None:
    report = report_as_nobody(tmp_path)
    failed = [(check["id"], check["cause"]) for check in report["checks"] if check["outcome"] == "fail"]
    assert report["ready"] is False
    assert failed == [("access.user", "permission")]


@pytest.mark.skipif(not os.access(DEVICE, os.R_OK | os.W_OK), reason="this user may not open /dev/kvm here")
def test_where_a_guest_runs_nothing_before_it_fails() -> None:
    facts = gather(Host())
    if not (isinstance(facts.kvm.guest, GuestRun) and facts.kvm.guest.ran):
        pytest.skip(f"no guest ran on this machine: {facts.kvm.guest}")
    outcomes = {result.id: result.outcome for result in judge(facts)}
    for link in (
        "processor.virtualization",
        "firmware.virtualization",
        "kvm.module",
        "kvm.device.opens",
        "kvm.api",
    ):
        assert outcomes[link] in (Outcome.PASS, Outcome.NOT_APPLICABLE), link
    assert outcomes["kvm.guest"] is Outcome.PASS
