import shlex
import sys
import threading
from pathlib import Path

import pytest

from kvmwizard.checks.results import Outcome
from kvmwizard.proof import query
from kvmwizard.proof.model import ProofLevel
from kvmwizard.proof.query import query_kvm_level
from tests.proof.contexts import Watched
from tests.proof.emulators import HANGS, qmp_emulator, shell_emulator

CONNECTS = "import socket; socket.socket(socket.AF_UNIX).connect('qmp')"


def query_with(qemu: str) -> ProofLevel:
    return query_kvm_level(Watched().context(), qemu)


@pytest.mark.parametrize(
    ("present", "enabled", "outcome", "words"),
    [
        (True, True, Outcome.PASS, "KVM is present and in use"),
        (True, False, Outcome.FAIL, "KVM is present, but not in use"),
        (False, False, Outcome.FAIL, "this QEMU has no KVM"),
    ],
)
def test_the_answer_is_judged(
    tmp_path: Path, present: bool, enabled: bool, outcome: Outcome, words: str
) -> None:
    level = query_with(qmp_emulator(tmp_path, {"return": {"enabled": enabled, "present": present}}))
    assert level.outcome is outcome
    assert words in level.found.english


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"class": "CommandNotFound", "desc": "The command query-kvm has not been found"}},
        {"return": {}},
        {"return": [1, 2]},
        None,
    ],
)
def test_another_answer_or_none_fails(tmp_path: Path, answer: dict[str, object] | None) -> None:
    level = query_with(qmp_emulator(tmp_path, answer))
    assert level.outcome is Outcome.FAIL
    assert level.found.english.startswith("QEMU did not answer over QMP as it should: ")
    assert level.remedy is not None


def test_a_qemu_that_ends_says_why(tmp_path: Path) -> None:
    script = "echo 'Could not access KVM kernel module: Permission denied' >&2; exit 1"
    level = query_with(shell_emulator(tmp_path, script))
    assert level.outcome is Outcome.FAIL
    assert level.found.english == "QEMU could not open /dev/kvm: Permission denied."


def test_a_qemu_that_ends_while_it_is_asked_says_why(tmp_path: Path) -> None:
    script = f"{shlex.quote(sys.executable)} -ISc \"{CONNECTS}\"; echo 'qemu: no more memory' >&2; exit 1"
    level = query_with(shell_emulator(tmp_path, script))
    assert level.outcome is Outcome.FAIL
    assert level.found.english == "QEMU ended with status 1 and said: qemu: no more memory"


def test_a_qemu_that_does_not_connect_is_not_waited_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "CONNECT_SECONDS", 1.0)
    level = query_with(shell_emulator(tmp_path, HANGS))
    assert level.outcome is Outcome.FAIL
    assert level.found.english == "QEMU did not answer over QMP within 1 seconds."


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    watched = Watched()
    threading.Timer(0.3, watched.cancelled.set).start()
    level = query_kvm_level(watched.context(), shell_emulator(tmp_path, HANGS))
    assert level.outcome is Outcome.UNKNOWN


def test_for_a_user_who_cannot_be_tried_it_is_unknown() -> None:
    level = query_kvm_level(Watched().context("no-such-account"), "/nowhere/qemu")
    assert level.outcome is Outcome.UNKNOWN


def test_a_qemu_that_is_not_there_fails() -> None:
    assert query_with("/nowhere/qemu").outcome is Outcome.FAIL
