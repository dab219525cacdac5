"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.layers import Layer, base_layer, program_layer
from tests.machine.machine import ThrowawayMachine, why_no_machine
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey


def _skip_where_no_machine_can_be_made() -> None:
    why_not = why_no_machine()
    if why_not is not None:
        pytest.skip(why_not)


@pytest.fixture(scope="session")
def machine_base() -> Layer:
    """The layer that throwaway machines stand on; tests are skipped where none can be made."""
    _skip_where_no_machine_can_be_made()
    return base_layer()


@pytest.fixture
def machine(machine_base: Layer) -> Iterator[ThrowawayMachine]:
    """A throwaway Debian machine of this test's own: no QEMU; alice may use sudo, bob may not."""
    with ThrowawayMachine.start(machine_base.stack) as started:
        yield started


@pytest.fixture(scope="session")
def program_base() -> Layer:
    """As `machine_base`, with kvmwizard's wheel installed in PROGRAM_FOLDER."""
    _skip_where_no_machine_can_be_made()
    return program_layer()


@pytest.fixture
def program_machine(program_base: Layer) -> Iterator[ThrowawayMachine]:
    """As `machine`, with kvmwizard's wheel installed in PROGRAM_FOLDER."""
    with ThrowawayMachine.start(program_base.stack) as started:
        yield started


@pytest.fixture(scope="session")
def signing_key() -> Iterator[SigningKey]:
    """A key that signs as a release manager does; its public half is to be configured as pinned."""
    with SigningKey.make() as key:
        yield key


@pytest.fixture
def mirror(signing_key: SigningKey, tmp_path: Path) -> Iterator[Mirror]:
    """A mirror of kernel.org and download.qemu.org on loopback, empty as yet (`mirror.layout.add_kernel`)."""
    with Mirror(tmp_path / "mirror", signing_key) as served:
        yield served
