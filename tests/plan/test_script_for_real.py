"""The exported script, run for real: real apt, a real group, a real guest, in a throwaway machine."""

import pytest

from tests.end_to_end.wizard import kvmwizard
from tests.machine.machine import ThrowawayMachine

pytestmark = [pytest.mark.root, pytest.mark.slow]

SCRIPT_SECONDS = 150


def test_the_script_brings_a_bare_machine_to_the_same_end(program_machine: ThrowawayMachine) -> None:
    if not program_machine.path("/dev/kvm").exists():
        pytest.skip("this machine has no /dev/kvm to give to anybody")
    code, script, complaints = kvmwizard(program_machine, ["plan", "--format", "sh"], user="alice")
    assert code == 0, complaints
    refused = program_machine.run(["sh"], user="alice", input=script)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "run it as root" in refused.stderr
    for _ in range(2):  # the second time it finds everything as it shall be
        ran = program_machine.run(["sh"], input=script, timeout=SCRIPT_SECONDS)
        assert ran.returncode == 0, ran.stderr
        assert '"ran": true' in ran.stdout
        device = program_machine.do(["stat", "--format", "%a %U %G", "/dev/kvm"])
        assert device == "660 root kvm\n"
    assert "kvm" in program_machine.run(["id", "-Gn"], user="alice").stdout.split()
    assert "qemu-system-x86_64" in program_machine.do(["sh", "-c", "command -v qemu-system-x86_64"])
    rule = program_machine.do(["cat", "/etc/udev/rules.d/99-kvmwizard.rules"])
    assert 'KERNEL=="kvm", GROUP="kvm", MODE="0660"' in rule
