"""Subjects struck at every call, one after another, and what is held against each of them."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.conftest import Counts, Tries
from tests.torture.faults import ALL, NO_FAULT, Control, Fault

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """How a struck process went."""

    said: list[tuple[str, Any]]
    """What happened, and to what, in its order."""
    status: int
    """Its exit code, or minus the signal's number."""
    calls: int
    fired: int

    def told(self, what: str) -> list[Any]:
        """Everything to which this happened."""
        return [subject for each, subject in self.said if each == what]


class Driver:
    """A `faults_driver` that waits for requests."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, do: str, fault: Fault, below: Sequence[Path], **asked: Any) -> Answer:
        """Have it done, with the fault."""
        request = {"do": do, "fault": vars(fault), "below": [str(each) for each in below], **asked}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Answer(**{**answer, "said": [tuple(each) for each in answer["said"]]})


@contextmanager
def driver(control: Control, library: Path) -> Iterator[Driver]:
    """A driver, ended with the block."""
    environment = {**os.environ, **control.environment(library), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.torture.faults_driver"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Driver(process)
        finally:
            process.kill()


class Subject(Protocol):
    """Something that changes files, and must survive being struck at it."""

    def reset(self) -> None:
        """Put the world back to before it."""

    def strike(self, fault: Fault) -> Answer:
        """Do it, with the fault."""

    def look(self, answers: Sequence[Answer]) -> str:
        """`old`, `new`, or `lost: what`, for what stands there after these tries."""

    def finish(self) -> str:
        """Do it again, undisturbed: empty where all is as it had been without a fault, else what is not."""


@dataclass(frozen=True)
class Found:
    """What came of all the strikes."""

    counted: Counter[str]
    amiss: list[str]

    @property
    def figures(self) -> dict[str, int]:
        """As the battery prints them."""
        return {name: self.counted[name] for name in ("points", "old", "new", "lost")}


@dataclass(frozen=True)
class Battery:
    """Every kind of fault by itself, then two in a row, in the form that was asked for."""

    tries: Tries
    counts: Counts

    def amiss(
        self,
        subject: Subject,
        happening: str,
        twice: Sequence[tuple[str, bool]],
        *,
        short: tuple[int, int],
        full: tuple[int, int],
    ) -> list[str]:
        """What was amiss; what was counted is printed.

        Args:
            subject: what is struck.
            happening: as `while answers are saved`, for what is printed.
            twice: the kinds that come two in a row; in the short form the first alone.
            short: `every` of `strike_everywhere` and of `strike_twice`, in the short form.
            full: the same in the full form.
        """
        once = strike_everywhere(subject, ALL, self.tries(short=short[0], full=full[0]))
        self.counts(f"faults {happening}", **once.figures)
        kinds = twice[: self.tries(short=1, full=len(twice))]
        again = strike_twice(subject, kinds, self.tries(short=short[1], full=full[1]))
        self.counts(f"two faults {happening}", **again.figures)
        return once.amiss + again.amiss


def strike_everywhere(subject: Subject, kinds: Iterable[tuple[str, bool]], every: int) -> Found:
    """Each kind of fault at one of the first calls, at the one `every` calls later, and so on to the last.

    They begin at one call after the other, so that together they see more calls than any of them.
    """
    found = Found(Counter(), [])
    for number, (kind, sticky) in enumerate(kinds):
        first = 1 + number % every
        for at in itertools.count(first, every):
            fault = Fault(kind, at, sticky)
            subject.reset()
            answer = subject.strike(fault)
            if answer.fired == 0:
                assert at > first, f"{fault} did not come: there was nothing to survive"
                break
            _judge(subject, found, (fault,), (answer,))
    _see_it_undisturbed(subject, found)
    return found


def strike_twice(subject: Subject, kinds: Sequence[tuple[str, bool]], every: int) -> Found:
    """A fault, then one more at every call of what is done about the first."""
    found = Found(Counter(), [])
    for (kind, sticky), (second_kind, second_sticky) in itertools.product(kinds, repeat=2):
        for at in itertools.count(1, every):
            first = Fault(kind, at, sticky)
            for second_at in itertools.count(1, every):
                second = Fault(second_kind, second_at, second_sticky)
                subject.reset()
                answers = (subject.strike(first), subject.strike(second))
                if not all(answer.fired for answer in answers):
                    assert at > 1 or second_at > 1, f"{first}, then {second} did not come"
                    break
                _judge(subject, found, (first, second), answers)
            if answers[0].fired == 0:
                break
    return found


def _judge(subject: Subject, found: Found, faults: Sequence[Fault], answers: Sequence[Answer]) -> None:
    found.counted["points"] += 1
    names = ", then ".join(map(str, faults))
    state = subject.look(answers)
    found.counted[state.partition(":")[0]] += 1
    if state not in {"old", "new"}:
        found.amiss.append(f"{names}: {state}")
    # A fault may end a process as killed, or be told: nothing else may come of it.
    if any(answer.status not in {0, -9} for answer in answers):
        found.amiss.append(f"{names}: ended with {[answer.status for answer in answers]}")
    left = subject.finish()
    if left:
        found.amiss.append(f"{names}, afterwards: {left}")


def _see_it_undisturbed(subject: Subject, found: Found) -> None:
    subject.reset()
    answer = subject.strike(NO_FAULT)
    assert answer.calls > 0, "the library counts nothing"
    left = subject.finish()
    if left:
        found.amiss.append(f"undisturbed: {left}")
