import json
import os
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.build.kernel_steps import StepCounter, Totals
from kvmwizard.job import Progress
from tests.build.worker import IDENTITY

OTHER = "cd" * 32


class Heard:
    """A progress file, and what is in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kvmwizard.job.TELL_SECONDS", 0.0)
        self._path = folder / "progress"
        self.progress = Progress(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))

    @property
    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self._path.read_text().splitlines()[-1])
        return line


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(tmp_path, monkeypatch)


def counter(heard: Heard, folder: Path, *, from_scratch: bool = True) -> StepCounter:
    return StepCounter(heard.progress, Totals(folder / "totals", IDENTITY), from_scratch=from_scratch)


def test_quiet_lines_are_counted_and_nothing_else(heard: Heard, tmp_path: Path) -> None:
    steps = counter(heard, tmp_path)
    for line in (
        "  CC      init/main.o",
        "  CC [M]  arch/x86/kvm/vmx/vmx.o",
        "  LD [M]  arch/x86/kvm/kvm.ko",
        "  HOSTCC  scripts/basic/fixdep",
        "make[1]: Entering directory '/x'",
        "  a warning that begins with spaces",
        "../init/main.c:1:1: warning: CC is unused",
        "",
    ):
        steps.take(line)
    assert steps.done == 4
    assert steps.prepared.is_set()
    assert (heard.last["done"], heard.last["total"], heard.last["unit"]) == (4, None, "steps")


def test_an_attempt_that_goes_on_counts_what_was_done_before(heard: Heard, tmp_path: Path) -> None:
    first = counter(heard, tmp_path)
    assert first.needs_forecast
    first.take("  CC      a.o")
    first.foresee(9)
    first.save()
    second = counter(heard, tmp_path, from_scratch=False)
    assert not second.needs_forecast
    second.take("  CC      b.o")
    assert (heard.last["done"], heard.last["total"]) == (2, 10)
    second.finish()
    third = counter(heard, tmp_path)
    third.take("  CC      a.o")
    assert (heard.last["done"], heard.last["total"]) == (1, 10)


def test_an_unbroken_build_corrects_what_was_foreseen(heard: Heard, tmp_path: Path) -> None:
    first = counter(heard, tmp_path)
    first.foresee(100)
    first.take("  CC      a.o")
    first.take("  CC      b.o")
    first.finish()
    assert Totals(tmp_path / "totals", IDENTITY).read() == (0, 2)
    assert Totals(tmp_path / "totals", OTHER).read() == (0, None)


def test_what_was_built_on_other_objects_is_no_measure_for_the_next(heard: Heard, tmp_path: Path) -> None:
    changed = counter(heard, tmp_path, from_scratch=False)
    assert changed.prepared.is_set()
    changed.foresee(3)
    changed.take("  CC      a.o")
    changed.finish()
    assert Totals(tmp_path / "totals", IDENTITY).read() == (0, None)


def test_it_is_never_shown_as_done_before_it_is(heard: Heard, tmp_path: Path) -> None:
    steps = counter(heard, tmp_path)
    steps.foresee(1)
    steps.take("  CC      a.o")
    steps.take("  CC      b.o")
    assert (heard.last["done"], heard.last["total"]) == (2, 3)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[1]", b'{"%s": 3}' % IDENTITY.encode(), b"\xff"])
def test_a_totals_file_that_is_none_costs_nothing_but_the_total(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "totals").write_bytes(content)
    totals = Totals(tmp_path / "totals", IDENTITY)
    assert totals.read() == (0, None)
    totals.write(3, 7)
    assert totals.read() == (3, 7)


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    for number in range(50):
        Totals(tmp_path / "totals", f"{number:064x}").write(0, number)
    assert len(json.loads((tmp_path / "totals").read_bytes())) <= 21
    assert Totals(tmp_path / "totals", f"{49:064x}").read() == (0, 49)
