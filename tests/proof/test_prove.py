import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.model import Proof, ProofLevel
from kvmwizard.proof.prove import prove
from kvmwizard.words import say
from tests.kvm import why_no_guests
from tests.proof.contexts import Watched

CHECKOUT = Path(__file__).parents[2]
no_guests = why_no_guests()


def outcomes(proof: Proof) -> dict[str, Outcome]:
    return {level.id: level.outcome for level in proof.levels}


@pytest.mark.skipif(no_guests is not None, reason=no_guests or "")
def test_without_qemu_the_small_guest_still_runs() -> None:
    proof = prove(None, None, Watched().hear)
    assert outcomes(proof) == {
        "tiny-guest": Outcome.PASS,
        "qemu-without-kvm": Outcome.UNKNOWN,
        "qemu-with-kvm": Outcome.UNKNOWN,
        "query-kvm": Outcome.UNKNOWN,
    }
    assert not proof.good
    assert proof.command_line == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(no_guests is not None, reason=no_guests or "")
def test_a_user_without_permission_is_told_how_to_get_it() -> None:
    if Path("/dev/kvm").stat().st_mode & 0o006:
        pytest.skip("everybody may use this machine's /dev/kvm")
    proof = prove(None, "nobody", Watched().hear)
    level = proof.level("tiny-guest")
    assert level is not None
    assert level.outcome is Outcome.FAIL
    assert level.found.english == "The guest did not run as nobody: cannot open /dev/kvm: Permission denied."
    assert level.remedy is not None
    assert "page Access" in level.remedy.english
    assert proof.verdict.english == "KVM does not work for nobody."


def test_a_user_who_does_not_exist_is_told() -> None:
    proof = prove(None, "no-such-account", Watched().hear)
    level = proof.level("tiny-guest")
    assert level is not None
    assert level.outcome is Outcome.UNKNOWN
    assert level.found.english == "There is no account named no-such-account on this machine."


def test_each_level_is_told_as_soon_as_it_is_finished() -> None:
    told: list[ProofLevel] = []
    proof = prove(None, "no-such-account", Watched().hear, on_level=told.append)
    assert tuple(told) == proof.levels


def test_the_expected_kernel_runs_or_waits_for_a_restart() -> None:
    running = os.uname().release
    runs = prove(None, "no-such-account", Watched().hear, expected_kernel=running).level("kernel")
    waits = prove(None, "no-such-account", Watched().hear, expected_kernel="9.9.9-new").level("kernel")
    said = say("It did not come up.")
    failed = prove(
        None, "no-such-account", Watched().hear, expected_kernel="9.9.9-new", not_started=said
    ).level("kernel")
    absent = prove(None, "no-such-account", Watched().hear).level("kernel")
    assert runs is not None
    assert runs.outcome is Outcome.PASS
    assert waits is not None
    assert waits.outcome is Outcome.UNKNOWN
    assert waits.found.english == f"Linux {running} is still running; 9.9.9-new runs after a restart."
    assert waits.remedy is not None
    assert failed is not None
    assert (failed.outcome, failed.found) == (Outcome.FAIL, said)
    assert absent is None


def test_importing_it_leaves_asyncio_and_the_qmp_library_alone() -> None:
    program = (
        "import sys, kvmwizard.proof.prove\n"
        "sys.exit(sum(name in sys.modules for name in ('asyncio', 'qemu.qmp', 'textual')))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=True)
