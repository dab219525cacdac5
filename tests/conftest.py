"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.layers import base_layer
from tests.machine.machine import ThrowawayMachine, why_no_machine


@pytest.fixture(scope="session")
def machine_base() -> Path:
    """The layer that throwaway machines stand on; tests are skipped where none can be made."""
    why_not = why_no_machine()
    if why_not is not None:
        pytest.skip(why_not)
    return base_layer()


@pytest.fixture
def machine(machine_base: Path) -> Iterator[ThrowawayMachine]:
    """A throwaway Debian machine of this test's own: no QEMU; alice may use sudo, bob may not."""
    with ThrowawayMachine.start([machine_base]) as started:
        yield started
