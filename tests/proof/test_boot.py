import re
import threading
import time
from pathlib import Path

import pytest

from kvmwizard.checks.results import Outcome
from kvmwizard.proof import boot
from kvmwizard.proof.boot import boot_level
from kvmwizard.proof.model import ProofLevel
from tests.proof.contexts import Watched
from tests.proof.emulators import BOOTS, HANGS, LACKS_DEVICES, STOPPED_BY_KVM, shell_emulator


def boot_with(folder: Path, script: str, *, with_kvm: bool = True) -> ProofLevel:
    return boot_level(Watched().context(), shell_emulator(folder, script), "x86_64", with_kvm=with_kvm)


@pytest.mark.parametrize("with_kvm", [False, True])
def test_the_line_and_the_status_of_power_off_make_it_pass(tmp_path: Path, with_kvm: bool) -> None:
    level = boot_with(tmp_path, BOOTS, with_kvm=with_kvm)
    assert level.outcome is Outcome.PASS
    assert level.id == ("qemu-with-kvm" if with_kvm else "qemu-without-kvm")
    assert level.seconds is not None
    assert level.remedy is None


@pytest.mark.parametrize(
    "script",
    [
        "printf 'kvmwizard: a guest has booted\\r\\n'; exit 1",
        "exit 33",
        "printf 'kvmwizard: a guest has booted\\r\\n'; kill -SEGV $$",
    ],
)
def test_half_a_success_is_none(tmp_path: Path, script: str) -> None:
    level = boot_with(tmp_path, script)
    assert level.outcome is Outcome.FAIL
    assert level.remedy is not None


def test_the_disk_and_the_accelerator_are_what_they_should_be(tmp_path: Path) -> None:
    script = 'echo "$*" "$(stat -c %s boot.img)"; exit 1'
    with_kvm = boot_with(tmp_path, script).found.english
    without = boot_with(tmp_path, script, with_kvm=False).found.english
    assert " -enable-kvm -cpu host " in with_kvm
    assert " -machine accel=tcg " in without
    assert "-enable-kvm" not in without
    assert with_kvm.endswith(" 1048576")


def test_a_qemu_without_the_debug_exit_ends_by_a_reset(tmp_path: Path) -> None:
    assert boot_with(tmp_path, LACKS_DEVICES).outcome is Outcome.PASS


def test_a_guest_that_kvm_stopped_is_not_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()
    level = boot_with(tmp_path, STOPPED_BY_KVM)
    assert time.monotonic() - started < 30
    assert level.outcome is Outcome.FAIL
    assert "emulation failure" in level.found.english


@pytest.mark.parametrize("with_kvm", [False, True])
def test_a_boot_that_takes_too_long_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_kvm: bool
) -> None:
    monkeypatch.setattr(boot, "BOOT_SECONDS", 1.0)
    level = boot_with(tmp_path, HANGS, with_kvm=with_kvm)
    assert level.outcome is Outcome.FAIL
    assert "within 1 seconds" in level.found.english
    assert level.remedy is not None
    assert "kvmwizard verify" in level.remedy.english


def test_progress_says_for_what_how_long_and_how_long_at_most(tmp_path: Path) -> None:
    watched = Watched()
    qemu = shell_emulator(tmp_path, "sleep 3; exit 1")
    boot_level(watched.context(), qemu, "x86_64", with_kvm=True)
    assert watched.said[0].startswith("QEMU boots a disk with KVM: 0 s so far, at most 120 s")
    assert re.match(r"QEMU boots a disk with KVM: [1-9] s so far, at most 120 s", watched.said[1])


def test_a_cancelled_boot_is_unknown(tmp_path: Path) -> None:
    watched = Watched()
    threading.Timer(0.3, watched.cancelled.set).start()
    level = boot_level(watched.context(), shell_emulator(tmp_path, HANGS), "x86_64", with_kvm=True)
    assert level.outcome is Outcome.UNKNOWN
    assert level.found.english == "Stopped before it was done."


def test_a_qemu_for_kvm_alone_cannot_be_tried_without(tmp_path: Path) -> None:
    script = "echo 'qemu-kvm: invalid accelerator tcg' >&2; exit 1"
    assert boot_with(tmp_path, script, with_kvm=False).outcome is Outcome.NOT_APPLICABLE
    assert boot_with(tmp_path, script, with_kvm=True).outcome is Outcome.FAIL


def test_a_qemu_that_is_not_there_fails() -> None:
    level = boot_level(Watched().context(), "/nowhere/qemu", "x86_64", with_kvm=False)
    assert level.outcome is Outcome.FAIL
    assert level.found.english == "QEMU could not be started: No such file or directory."


def test_elsewhere_the_disk_does_not_apply() -> None:
    level = boot_level(Watched().context(), "/nowhere/qemu", "aarch64", with_kvm=True)
    assert level.outcome is Outcome.NOT_APPLICABLE


def test_for_a_user_who_cannot_be_tried_only_kvm_is_left_out(tmp_path: Path) -> None:
    context = Watched().context("no-such-account")
    qemu = shell_emulator(tmp_path, BOOTS)
    assert boot_level(context, qemu, "x86_64", with_kvm=True).outcome is Outcome.UNKNOWN
    assert boot_level(context, qemu, "x86_64", with_kvm=False).outcome is Outcome.PASS
