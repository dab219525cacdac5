import hashlib
import os
import pwd
from pathlib import Path

import pytest

from kvmwizard.host import guest, guest_process
from kvmwizard.host.identity import Identity, stored_identity
from kvmwizard.host.kvm_device import GuestRun
from kvmwizard.host.reading import Unknown, UnknownReason
from tests.kvm import why_no_guests

no_guests = why_no_guests()
runs_guests = pytest.mark.skipif(no_guests is not None, reason=no_guests or "")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
on_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the guest is written for x86-64")


@runs_guests
def test_the_guest_runs_as_the_caller() -> None:
    run = guest.run_guest(60)
    assert isinstance(run, GuestRun)
    assert run.ran
    assert run.output == "KVM"
    assert run.problem is None


def nobody() -> Identity:
    identity = stored_identity("nobody")
    if identity is None:
        pytest.skip("there is no account named nobody")
    return identity


@as_root
@on_x86_64
def test_the_guest_runs_as_another_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os\n"
        "print(json.dumps({'ran': True, 'instructions': os.getuid(), 'exits': os.getgid(),\n"
        "  'output': repr(os.getgroups()), 'milliseconds': 0, 'problem': None}))\n"
    )
    monkeypatch.setattr(guest_process, "GUEST_PROGRAM", program)
    identity = nobody()
    run = guest.run_guest(60, identity)
    assert isinstance(run, GuestRun)
    assert run.instructions == identity.user_id
    assert run.exits == identity.group_id
    assert run.output == repr(sorted(identity.group_ids))


@as_root
@runs_guests
def test_an_account_without_permission_is_told_so() -> None:
    status = Path("/dev/kvm").stat()
    if status.st_mode & 0o006:
        pytest.skip("everybody may use this machine's /dev/kvm")
    run = guest.run_guest(60, nobody())
    assert isinstance(run, GuestRun)
    assert not run.ran
    assert run.problem == "cannot open /dev/kvm: Permission denied"


@on_x86_64
def test_a_program_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(guest_process, "GUEST_PROGRAM", program)
    run = guest.run_guest(0.5)
    assert run == Unknown(unknown=UnknownReason.TIMED_OUT, detail="0.5 seconds")


@on_x86_64
def test_a_program_that_prints_no_result_is_not_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys\nsys.exit('what guest?')\n")
    monkeypatch.setattr(guest_process, "GUEST_PROGRAM", program)
    run = guest.run_guest(60)
    assert run == Unknown(unknown=UnknownReason.NOT_UNDERSTOOD, detail="what guest?")


@on_x86_64
def test_an_interpreter_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python3")
    run = guest.run_guest(60)
    assert isinstance(run, Unknown)
    assert run.unknown is UnknownReason.NOT_READABLE
    assert "/nowhere/python3" in run.detail


def test_off_x86_64_it_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    names = os.uname_result(("Linux", "host", "6.1", "#1", "aarch64"))
    monkeypatch.setattr(os, "uname", lambda: names)
    run = guest.run_guest()
    assert isinstance(run, Unknown)
    assert run.unknown is UnknownReason.NOT_SHOWN


def test_the_hash_is_that_of_the_programs_text() -> None:
    digest = hashlib.sha256(Path(guest_process.GUEST_PROGRAM).read_bytes()).hexdigest()
    assert guest.guest_program_sha256() == digest


@pytest.mark.parametrize("text", ["", "{}", "null", "no json", '{"ran": true}'])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="GuestRun"):
        guest.parse_guest_output(text)


def test_stored_identities_are_those_of_a_new_login() -> None:
    root = stored_identity("root")
    assert root is not None
    assert (root.user_id, root.group_id, root.home) == (0, 0, pwd.getpwuid(0).pw_dir)
    assert 0 in root.group_ids
    assert stored_identity("nobody-has-this-name") is None
