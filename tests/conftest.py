"""Fixtures for all tests, and the two forms of the battery in tests/torture."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.machine.layers import Layer, base_layer, program_layer
from tests.machine.machine import ThrowawayMachine, why_no_machine
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey

FULL_FORM_SECONDS = 4 * 3600
COUNTS = "counts"


class Tries(Protocol):
    """How often a test of the battery tries its subject, in each form."""

    def __call__(self, *, short: int, full: int) -> int:
        """The number for this form."""


class Counts(Protocol):
    """Has a line of counts printed when all tests have run."""

    def __call__(self, subject: str, **counted: float | str) -> None:
        """`subject` says what was tried; the rest, by name, what was counted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the battery of tests/torture in its full form")
    parser.addoption("--seed", type=int, default=4, help="what the battery's random choices start from")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        for item in items:
            item.add_marker(pytest.mark.timeout(FULL_FORM_SECONDS), append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = (report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind))
    lines = [str(value) for report in reports for name, value in report.user_properties if name == COUNTS]
    if lines:
        terminalreporter.section("what the battery counted")
        for line in sorted(lines):
            terminalreporter.write_line(line)


@pytest.fixture
def tries(request: pytest.FixtureRequest) -> Tries:
    """How often to try: little in `make test`, all of it in `make torture`."""
    full_form = bool(request.config.getoption("--full"))

    def chosen(*, short: int, full: int) -> int:
        return full if full_form else short

    return chosen


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What random choices start from; the same in every run that names no other."""
    return int(request.config.getoption("--seed"))


@pytest.fixture
def counts(record_property: Callable[[str, object], None]) -> Counts:
    """See `Counts`."""

    def tell(subject: str, **counted: float | str) -> None:
        figures = ", ".join(f"{name.replace('_', ' ')} {figure}" for name, figure in counted.items())
        record_property(COUNTS, f"{subject}: {figures}")

    return tell


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
