"""Two things measured side by side, and what is said of them."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

ROUNDS = 5
"""Each round runs A B B A, so both are measured twice as often: at least nine times."""


@dataclass(frozen=True)
class Target:
    """What a value shall be at most."""

    at_most: float
    unit: str

    def met_by(self, value: float) -> bool:
        return value <= self.at_most


@dataclass(frozen=True)
class Result:
    """One number, with the one it is compared with where there is one."""

    id: str
    title: str
    value: float
    unit: str
    samples: tuple[float, ...]
    target: Target | None = None
    compared_with: str | None = None
    other: float | None = None
    other_samples: tuple[float, ...] = ()
    target_is_on_ratio: bool = False

    @property
    def ratio(self) -> float | None:
        """This over the other."""
        return None if self.other is None else self.value / self.other

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        judged = self.ratio if self.target_is_on_ratio else self.value
        return judged is not None and self.target.met_by(judged)

    def as_json(self) -> dict[str, Any]:
        """All of it, for the JSON file."""
        return {
            "id": self.id,
            "title": self.title,
            "median": round(self.value, 3),
            "unit": self.unit,
            "samples": [round(sample, 3) for sample in self.samples],
            "compared_with": self.compared_with,
            "other_median": None if self.other is None else round(self.other, 3),
            "other_samples": [round(sample, 3) for sample in self.other_samples],
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "target": None if self.target is None else self.target.at_most,
            "target_of": "ratio" if self.target_is_on_ratio else self.unit,
            "met": self.met,
        }

    def as_line(self) -> str:
        """One line for people."""
        parts = [f"{self.title:<46} {_number(self.value)} {self.unit}"]
        if self.ratio is not None and self.other is not None:
            parts.append(f"{self.compared_with} {_number(self.other)} {self.unit}, ratio {self.ratio:.2f}")
        if self.target is not None:
            of = "" if self.target_is_on_ratio else f" {self.target.unit}"
            verdict = "met" if self.met else "MISSED"
            parts.append(f"target <= {_number(self.target.at_most)}{of}: {verdict}")
        return "; ".join(parts)


def interleaved(first: Callable[[], float], second: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Measure both A B B A, so that what drifts in the machine meets both alike.

    One run of each is thrown away first: it fills the file caches.
    """
    first()
    second()
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(first())
        theirs.append(second())
        theirs.append(second())
        ours.append(first())
    return ours, theirs


def compare(
    id: str,  # noqa: A002  -- the field's name in the JSON
    title: str,
    unit: str,
    samples: tuple[list[float], list[float]],
    compared_with: str,
) -> Result:
    """The result of two interleaved measurements, without a target yet."""
    ours, theirs = samples
    return Result(
        id=id,
        title=title,
        value=median(ours),
        unit=unit,
        samples=tuple(ours),
        compared_with=compared_with,
        other=median(theirs),
        other_samples=tuple(theirs),
    )


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
