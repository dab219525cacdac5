"""The proof with Debian's real QEMU, in a throwaway machine that has it installed."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kvm import why_no_guests
from tests.machine.layers import PROGRAM_FOLDER, Layer, base_layer, prepared_layer
from tests.machine.machine import ThrowawayMachine

no_guests = why_no_guests()
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(no_guests is not None, reason=no_guests or ""),
    # On a busy kvm_pvm host each boot under KVM may take half a minute.
    pytest.mark.timeout(900),
]

KVMWIZARD = f"{PROGRAM_FOLDER}/bin/kvmwizard"
QEMU = "/usr/bin/qemu-system-x86_64"
FIRMWARE = "/usr/share/seabios/bios-256k.bin"
# What RHEL's build of QEMU says about a device model that was left out of it.
WITHOUT_DEBUG_EXIT = f"""\
#!/bin/sh
case "$*" in
*isa-debug-exit*)
    echo "qemu-kvm: -device isa-debug-exit: 'isa-debug-exit' is not a valid device model name" >&2
    exit 1 ;;
esac
exec {QEMU} "$@"
"""


def install_qemu(machine: ThrowawayMachine) -> None:
    machine.do(
        ["apt-get", "-q", "-y", "install", "--no-install-recommends", "qemu-system-x86"],
        env={"DEBIAN_FRONTEND": "noninteractive"},
        timeout=600,
    )


@pytest.fixture(scope="module")
def with_qemu(program_base: Layer) -> Iterator[ThrowawayMachine]:
    qemu = prepared_layer("qemu", install_qemu, [], base_layer())
    with ThrowawayMachine.start((qemu.directory, *program_base.stack)) as machine:
        yield machine


def verify(machine: ThrowawayMachine, *arguments: str, user: str = "root") -> tuple[int, dict[str, Any]]:
    result = machine.run([KVMWIZARD, "verify", "--json", *arguments], user=user, timeout=400)
    assert result.stderr == ""
    report: dict[str, Any] = json.loads(result.stdout)
    return result.returncode, report


def outcomes(report: dict[str, Any]) -> list[str]:
    assert [level["id"] for level in report["levels"]] == [
        "tiny-guest",
        "qemu-without-kvm",
        "qemu-with-kvm",
        "query-kvm",
    ]
    return [level["outcome"] for level in report["levels"]]


def test_root_proves_every_level(with_qemu: ThrowawayMachine) -> None:
    returncode, report = verify(with_qemu)
    assert outcomes(report) == ["pass", "pass", "pass", "pass"]
    assert report["good"] is True
    assert returncode == 0
    assert report["command_line"][:2] == [QEMU, "-enable-kvm"]


def test_without_permission_kvm_fails_and_qemu_is_sound(with_qemu: ThrowawayMachine) -> None:
    returncode, report = verify(with_qemu, user="bob")
    assert outcomes(report) == ["fail", "pass", "fail", "fail"]
    assert returncode == 1
    assert report["verdict"] == "KVM does not work for bob. QEMU itself is sound: it boots without KVM."
    for level in (report["levels"][0], report["levels"][2], report["levels"][3]):
        assert "Permission denied" in level["found"]
        assert "bob" in level["remedy"]


def test_root_proves_for_another_user_as_that_user(with_qemu: ThrowawayMachine) -> None:
    refused = verify(with_qemu, "--user", "alice")
    assert outcomes(refused[1]) == ["fail", "pass", "fail", "fail"]
    with_qemu.do(["setfacl", "-m", "u:alice:rw", "/dev/kvm"])
    returncode, report = verify(with_qemu, "--user", "alice")
    assert outcomes(report) == ["pass", "pass", "pass", "pass"]
    assert report["user"] == "alice"
    assert returncode == 0
    returncode, report = verify(with_qemu, user="alice")
    assert outcomes(report) == ["pass", "pass", "pass", "pass"]
    assert with_qemu.run(["find", "/tmp", "-name", "kvmwizard-proof-*"]).stdout == ""


def test_others_can_prove_for_themselves_alone(with_qemu: ThrowawayMachine) -> None:
    returncode, report = verify(with_qemu, "--user", "root", user="bob")
    assert outcomes(report) == ["unknown", "pass", "unknown", "unknown"]
    assert report["levels"][0]["remedy"] == "Log in as root and run: kvmwizard verify"
    assert returncode == 1


def test_a_qemu_without_the_debug_exit_is_proved_too(with_qemu: ThrowawayMachine) -> None:
    wrapper = "/usr/local/bin/qemu-kvm"
    with_qemu.path(wrapper).write_text(WITHOUT_DEBUG_EXIT)
    with_qemu.do(["chmod", "755", wrapper])
    _, report = verify(with_qemu, "--qemu", wrapper)
    assert outcomes(report) == ["pass", "pass", "pass", "pass"]


def test_no_emulator_outlives_a_killed_proof(with_qemu: ThrowawayMachine) -> None:
    """The guest is one that spins for ever, so that only the kill can have ended it."""
    spinning = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
    (image,) = with_qemu.do(["find", PROGRAM_FOLDER, "-name", "boot.img"]).splitlines()
    sector = with_qemu.path(image).read_bytes()
    with_qemu.path(image).write_bytes(spinning)
    try:
        prover = with_qemu.popen(["sh", "-c", f"echo $$; exec {KVMWIZARD} verify"])
        assert prover.stdout is not None
        number = prover.stdout.readline().strip()
        assert wait_for(with_qemu, running=True)
        with_qemu.do(["kill", "-KILL", number])
        prover.communicate()
        assert wait_for(with_qemu, running=False)
    finally:
        with_qemu.path(image).write_bytes(sector)


def wait_for(machine: ThrowawayMachine, *, running: bool) -> bool:
    """Whether a QEMU comes to run, or to run no more, within half a minute."""
    for _ in range(300):
        if (machine.run(["pgrep", "-f", "^/usr/bin/qemu-system"]).returncode == 0) is running:
            return True
        time.sleep(0.1)
    return False


def test_a_broken_qemu_is_not_taken_for_a_broken_kvm(with_qemu: ThrowawayMachine) -> None:
    with_qemu.do(["mv", FIRMWARE, f"{FIRMWARE}.away"])
    try:
        returncode, report = verify(with_qemu)
    finally:
        with_qemu.do(["mv", f"{FIRMWARE}.away", FIRMWARE])
    assert outcomes(report) == ["pass", "fail", "fail", "pass"]
    assert returncode == 1
    assert report["levels"][1]["found"] == "QEMU does not find its firmware bios-256k.bin."
    assert report["verdict"] == f"KVM works, but {QEMU} is broken: it does not boot even without KVM."
