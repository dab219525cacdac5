import errno
import os
from pathlib import Path

import pytest

from kvmwizard.host.identity import stored_identity
from kvmwizard.proof import remedies
from kvmwizard.proof.messages import (
    guest_was_stopped,
    lacks_accelerator,
    lacks_debug_exit,
    not_started,
    trouble_in,
    unexpected_end,
)
from kvmwizard.proof.remedies import device_remedy
from tests.proof.contexts import Watched

RECORDED = Path(__file__).parent / "recorded"
EMULATION_FAILURE = (RECORDED / "kvm-internal-error.txt").read_text()
"""QEMU 7.2 with KVM on a kvm_pvm host, whose guest executed FWAIT."""

NO_PERMISSION = (
    "Could not access KVM kernel module: Permission denied\n"
    "qemu-system-x86_64: failed to initialize kvm: Permission denied\n"
)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (NO_PERMISSION, "QEMU could not open /dev/kvm: Permission denied."),
        (
            "Could not access KVM kernel module: No such file or directory\n",
            "QEMU could not open /dev/kvm: No such file or directory.",
        ),
        (
            "ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy\n",
            "KVM would not make a virtual machine: Device or resource busy.",
        ),
        (
            "qemu-system-x86_64: failed to initialize kvm: Function not implemented\n",
            "QEMU could not start KVM: Function not implemented.",
        ),
        (
            "KVM: entry failed, hardware error 0x80000021\n\nIf you're running a guest on an Intel machine",
            "The processor refused to enter the guest: hardware error 0x80000021.",
        ),
        (
            "error: kvm run failed Function not implemented\nEAX=00000000 EBX=00000000\n",
            "KVM failed while it ran the guest: Function not implemented.",
        ),
        (
            "KVM internal error. Suberror: 3\nextra data[0]: 0x80000b0e\n",
            "KVM stopped the guest: KVM internal error, suberror 3.",
        ),
        ("qemu-system-x86_64: invalid accelerator kvm\n", "This QEMU was built without KVM."),
        ('"kvm" accelerator not found.\nNo accelerator found!\n', "This QEMU was built without KVM."),
        (
            "qemu: could not load PC BIOS 'bios-256k.bin'\n",
            "QEMU does not find its firmware bios-256k.bin.",
        ),
        (
            "/opt/qemu: error while loading shared libraries: libslirp.so.0: cannot open\n",
            "QEMU does not start: the library libslirp.so.0 is missing.",
        ),
        (
            "setpriv: failed to execute /opt/qemu: No such file or directory\n",
            "QEMU could not be started: No such file or directory.",
        ),
    ],
)
def test_known_messages_have_a_meaning_and_a_remedy(output: str, found: str) -> None:
    trouble = trouble_in(output, Watched().context())
    assert trouble is not None
    assert trouble.found.english == found
    assert trouble.remedy is not None


def test_an_emulation_failure_is_a_limit_of_this_kvm() -> None:
    trouble = trouble_in(EMULATION_FAILURE, Watched().context())
    assert trouble is not None
    assert "suberror 1: emulation failure" in trouble.found.english
    assert trouble.remedy is not None
    assert "kvm_pvm" in trouble.remedy.english


def test_permission_is_mended_on_the_page_access() -> None:
    trouble = trouble_in(NO_PERMISSION, Watched().context("ellen"))
    assert trouble is not None
    assert trouble.remedy is not None
    assert trouble.remedy.english == "Give ellen access: run kvmwizard, and choose ellen on the page Access."


def test_permission_comes_with_the_next_login_where_the_group_is_new(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context = Watched().context()
    identity = stored_identity(context.user)
    if identity is None:
        pytest.skip("the account that runs this test is not in the user database")
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(remedies, "KVM_DEVICE", str(device))
    monkeypatch.setattr(os, "getgroups", lambda: [identity.group_id])
    assert "choose" in device_remedy("Permission denied", context).english
    monkeypatch.setattr(os, "getgroups", list)
    monkeypatch.setattr(os, "getegid", lambda: 3_999_999_999)
    assert "log out and in again" in device_remedy("Permission denied", context).english


def test_what_is_not_known_has_no_meaning() -> None:
    assert trouble_in("", Watched().context()) is None
    warning = "warning: host doesn't support requested feature: CPUID.01H:ECX.pni [bit 0]"
    assert trouble_in(warning, Watched().context()) is None


@pytest.mark.parametrize(
    ("output", "stopped"),
    [
        (EMULATION_FAILURE, True),
        ("KVM: entry failed, hardware error 0x7\n", True),
        ("error: kvm run failed Bad address\n", True),
        (NO_PERMISSION, False),
        ("kvmwizard: a guest has booted\r\n", False),
    ],
)
def test_a_stopped_guest_is_recognized(output: str, stopped: bool) -> None:
    assert guest_was_stopped(output) is stopped


@pytest.mark.parametrize(
    ("output", "lacking"),
    [
        ("qemu-kvm: -device isa-debug-exit: 'isa-debug-exit' is not a valid device model name\n", True),
        ("-device nonsense: 'nonsense' is not a valid device model name\n", False),
    ],
)
def test_a_missing_debug_exit_is_recognized(output: str, lacking: bool) -> None:
    assert lacks_debug_exit(output) is lacking


def test_missing_accelerators_are_told_apart() -> None:
    assert lacks_accelerator("qemu-kvm: invalid accelerator tcg\n", "tcg")
    assert lacks_accelerator('"tcg" accelerator not found.\n', "tcg")
    assert not lacks_accelerator("qemu-kvm: invalid accelerator kvm\n", "tcg")


@pytest.mark.parametrize(
    ("returncode", "output", "found"),
    [
        (1, "one\nqemu: two\n\n", "QEMU ended with status 1 and said: qemu: two"),
        (3, " \n", "QEMU ended with status 3 and said nothing."),
        (-11, "one\n", "QEMU was ended by signal SIGSEGV."),
        (-99, "", "QEMU was ended by signal 99."),
    ],
)
def test_an_unknown_end_is_told_as_it_was(returncode: int, output: str, found: str) -> None:
    assert unexpected_end(returncode, output).found.english == found


def test_a_program_that_is_not_there_and_a_full_disk_are_told_apart() -> None:
    absent = not_started(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    full = not_started(OSError(errno.ENOSPC, "No space left on device"))
    assert absent.found.english == "QEMU could not be started: No such file or directory."
    assert full.found.english == "No temporary files can be written to /tmp: No space left on device."
    assert absent.remedy != full.remedy
