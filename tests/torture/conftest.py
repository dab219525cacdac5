"""Fixtures of the battery."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Counts, Tries
from tests.sources import CannotBeHad
from tests.torture.faults import Control, compile_library, why_no_faults
from tests.torture.machine_kernels import MachineKernels, machine_kernels
from tests.torture.striking import Battery, Driver, driver


@pytest.fixture(scope="session")
def kernels() -> MachineKernels:
    """What virtual machines start; tests are skipped, with the reason, where it cannot be had."""
    try:
        return machine_kernels()
    except CannotBeHad as reason:
        pytest.skip(f"no kernels for a virtual machine: {reason}")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is a place for it: thousands of fsyncs are to be counted, not waited for."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)


@pytest.fixture
def battery(tries: Tries, counts: Counts) -> Battery:
    """See `Battery`."""
    return Battery(tries, counts)


@pytest.fixture(scope="session")
def strikes() -> Iterator[Driver]:
    """What is struck by `faults.c`; its library is where builders may read it, too."""
    why_not = why_no_faults()
    if why_not is not None:
        pytest.skip(why_not)
    with tempfile.TemporaryDirectory(prefix="kvmwizard-faults-") as name:
        made = Path(name)
        made.chmod(0o711)
        with driver(Control.make(made / "control"), compile_library(made)) as started:
            yield started
