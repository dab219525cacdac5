"""The superset of `virt-host-validate qemu`: its whole list, and its real output here."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kvmwizard.checks.judge import judge
from kvmwizard.checks.results import Outcome
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from tests.checks.machines import SOUND
from tests.facts_builder import make_facts

COUNTERPARTS = {
    "for hardware virtualization": "processor.virtualization",
    "if device /dev/kvm exists": "kvm.device.exists",
    "if device /dev/kvm is accessible": "access.user",
    "for PowerPC KVM module loaded": "kvm.module",
    "if device /dev/vhost-net exists": "network.vhost_net",
    "if device /dev/net/tun exists": "network.tun",
    "for cgroup 'cpu' controller support": "cgroup.cpu",
    "for cgroup 'cpuacct' controller support": "cgroup.cpuacct",
    "for cgroup 'cpuset' controller support": "cgroup.cpuset",
    "for cgroup 'memory' controller support": "cgroup.memory",
    "for cgroup 'devices' controller support": "cgroup.devices",
    "for cgroup 'blkio' controller support": "cgroup.blkio",
    "for device assignment IOMMU support": "iommu.present",
    "if IOMMU is enabled by kernel": "iommu.enabled",
    "for secure guest support": "secure_guest.support",
    "for AMD Secure Encrypted Virtualization-Encrypted State (SEV-ES)": "secure_guest.sev_es",
    "for AMD Secure Encrypted Virtualization-Secure Nested Paging (SEV-SNP)": "secure_guest.sev_snp",
}
"""Their words to our id: the checks of the QEMU driver in libvirt 9.0, and the two stages of SEV since."""
LINE = re.compile(r"QEMU: Checking (?P<question>.+?)\s*: (?P<answer>PASS|WARN|FAIL)")
THEIRS = shutil.which("virt-host-validate")
WITHOUT_THEIRS = pytest.mark.skipif(THEIRS is None, reason="virt-host-validate is not installed here")
BAD = (Outcome.WARN, Outcome.FAIL)


def their_answers() -> dict[str, str]:
    assert THEIRS is not None
    shown = subprocess.run(
        [THEIRS, "qemu"],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    return {match["question"]: match["answer"] for match in LINE.finditer(shown.stdout)}


def test_every_counterpart_is_a_check_of_ours() -> None:
    ours = {result.id for result in judge(make_facts())}
    assert set(COUNTERPARTS.values()) <= ours
    assert len(set(COUNTERPARTS.values())) == len(COUNTERPARTS)


@WITHOUT_THEIRS
def test_every_question_of_the_installed_program_has_a_counterpart() -> None:
    assert THEIRS is not None
    texts = re.findall(rb"(?<=\0)(?:if|for) [ -~]{8,80}(?=\0)", Path(THEIRS).read_bytes())
    asked = {text.decode() for text in texts}
    templates = {
        re.sub(r"'\w+'", "'%s'", re.sub(r"device /dev/\S+", "device %s", text)) for text in COUNTERPARTS
    }
    of_containers = {text for text in asked if "namespace" in text or "for Linux >=" in text}
    assert "for hardware virtualization" in asked, "the program's texts were not found"
    assert asked - of_containers <= templates


@WITHOUT_THEIRS
def test_the_real_output_here_has_counterparts_that_agree() -> None:
    theirs = their_answers()
    assert theirs, "virt-host-validate said nothing"
    assert set(theirs) <= set(COUNTERPARTS)
    ours = {result.id: result for result in judge(gather(Host()))}
    for question, answer in theirs.items():
        result = ours[COUNTERPARTS[question]]
        if answer == "PASS" and question != "if device /dev/kvm is accessible":
            assert result.outcome not in BAD, f"{question}: they pass, we say {result.found}"
    flags_fail = theirs.get("for hardware virtualization") == "FAIL"
    if flags_fail and ours["kvm.guest"].outcome is Outcome.PASS:
        assert ours["processor.virtualization"].outcome is Outcome.PASS, "function beats flags"


def test_what_always_warns_there_is_no_warning_here_where_it_does_not_matter() -> None:
    healthy = {result.id: result.outcome for result in judge(make_facts())}
    assert healthy["secure_guest.support"] is Outcome.NOT_APPLICABLE
    assert not [check for check, outcome in healthy.items() if outcome in BAD]
    pvm = {result.id: result.outcome for result in judge(SOUND["kvm_pvm: a guest runs without vmx or svm"])}
    assert pvm["processor.virtualization"] is Outcome.PASS
