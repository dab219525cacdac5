"""The README's first command, on a machine that has only what it asks for."""

import os

import pytest

from tests.end_to_end.wizard import wait_for_page
from tests.machine.layers import CHECKOUT
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]

SETTING_UP_SECONDS = 300
NOT_IN_A_CHECKOUT = ("./.venv", "./.git", "./dist", "./bench.json", "*cache*")


@pytest.fixture
def home(machine: ThrowawayMachine) -> str:
    """Alice's copy of the checkout."""
    checkout = "/home/alice/kvm wizard"
    machine.add_tree(CHECKOUT, checkout, without=NOT_IN_A_CHECKOUT)
    machine.do(["chown", "-R", "alice:alice", checkout])
    return checkout


def test_a_checkout_that_may_not_be_written_to_says_where_to_turn(machine: ThrowawayMachine) -> None:
    machine.add_tree(CHECKOUT, "/srv/kvmwizard", without=NOT_IN_A_CHECKOUT)
    result = machine.run(["/usr/bin/make", "-C", "/srv/kvmwizard", "test"], user="alice")
    assert result.returncode == 2
    assert ".venv in /srv/kvmwizard cannot be made or written to" in result.stderr
    assert "make test VENV=$HOME/" in result.stderr


def test_make_run_opens_the_wizard_and_opens_it_again_at_once(machine: ThrowawayMachine, home: str) -> None:
    settings = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT_"))}
    first = Terminal.open(machine, ["/usr/bin/make", "-C", home, "run"], user="alice", env=settings)
    wait_for_page(first, "Welcome", SETTING_UP_SECONDS)
    first.press("Enter")
    wait_for_page(first, "Hardware")
    first.press("q")
    assert first.wait_for_end() == 0
    second = Terminal.open(machine, ["/usr/bin/make", "-C", home], user="alice")
    wait_for_page(second, "Hardware", 10)
