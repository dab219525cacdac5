import json
import sys

import pytest

from tests.bench.commands import environment
from tests.bench.measure import Result, Target, compare, interleaved
from tests.bench.minimal_app import LANDMARK
from tests.bench.screens import MINIMAL
from tests.bench.search import MANY
from tests.bench.terminal import MeasuredTerminal, NotShownError


def test_runs_are_interleaved_a_b_b_a_at_least_nine_of_each() -> None:
    order: list[str] = []

    def first() -> float:
        order.append("A")
        return 1.0

    def second() -> float:
        order.append("B")
        return 2.0

    ours, theirs = interleaved(first, second)
    measured = "".join(order[2:])
    assert measured == "ABBA" * (len(measured) // 4)
    assert len(ours) == len(theirs) >= 9


def test_the_median_and_not_the_mean_is_told() -> None:
    result = compare("id", "title", "ms", ([1.0, 2.0, 90.0], [4.0, 4.0, 4.0]), "other")
    assert result.value == 2.0
    assert result.ratio == 0.5


@pytest.mark.parametrize(
    ("value", "other", "on_ratio", "met"),
    [
        (200.0, None, False, True),
        (201.0, None, False, False),
        (30.0, 10.0, True, True),
        (31.0, 10.0, True, False),
    ],
)
def test_a_target_is_met_up_to_its_own_value(
    value: float, other: float | None, on_ratio: bool, met: bool
) -> None:
    target = Target(3 if on_ratio else 200, "")
    result = Result("id", "title", value, "ms", (value,), target, None, other, (), on_ratio)
    assert result.met is met
    assert ("MISSED" in result.as_line()) is not met
    assert json.loads(json.dumps(result.as_json()))["met"] is met


def test_bytes_are_counted_and_times_taken() -> None:
    program = (
        "import sys, time; time.sleep(0.3); print('here', end='', flush=True); sys.stdin.read(); print()"
    )
    with MeasuredTerminal([sys.executable, "-c", program], environment()) as terminal:
        assert 0.3 <= terminal.until_shown(["here"], 10) < 5
        assert terminal.total == 4
        assert terminal.press(b"abc") == 3
        assert terminal.during(0.2) == 0
        assert terminal.text.startswith("hereabc")
        assert 2**20 < terminal.resident_bytes() < 2**28


def test_the_minimal_application_paints_and_idles() -> None:
    with MeasuredTerminal(MINIMAL, environment()) as terminal:
        terminal.until_shown([LANDMARK], 20)
        terminal.until_quiet()
        assert terminal.during(1) == 0


def test_a_key_is_timed_to_its_last_byte() -> None:
    program = (
        "import sys, time\n"
        "for _ in sys.stdin: print('a', flush=True); time.sleep(0.2); print('b', end='', flush=True)"
    )
    with MeasuredTerminal([sys.executable, "-c", program], environment()) as terminal:
        terminal.until_quiet()
        assert 0.2 <= terminal.last_byte_after(b"\n") < 0.8


@pytest.mark.slow
def test_the_chooser_of_the_measurement_filters_at_every_key() -> None:
    argv = (sys.executable, "-m", "tests.bench.chooser_app", str(MANY))
    with MeasuredTerminal(argv, environment()) as terminal:
        terminal.until_shown((f"the first 300 of {MANY:,}", "Enter Take"), 20)
        terminal.until_quiet()
        for key in (b"1", b".", b"9"):
            assert terminal.last_byte_after(key) < 2
        assert "1.9.99" in terminal.text
        assert f"of {MANY:,}" not in terminal.text


def test_waiting_in_vain_tells_what_is_shown() -> None:
    with (
        MeasuredTerminal(["/bin/echo", "something else"], environment()) as terminal,
        pytest.raises(NotShownError, match="something else"),
    ):
        terminal.until_shown(["never"], 0.5)
