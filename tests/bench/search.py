"""What a key of the version chooser's search costs: from the key to the last byte that the terminal gets."""

import math
import sys
from statistics import median, quantiles

from tests.bench.commands import environment
from tests.bench.measure import Result, Target
from tests.bench.terminal import MeasuredTerminal

FEW, MANY = 100, 10_000
KEYS = (b"1", b".", b"1", b"\x7f", b"2", b"\x7f", b"\x7f", b"\x7f")
"""One search typed and rubbed out again, so that rounds are alike."""
ROUNDS = 6
SHOWN_SECONDS = 30.0


def search_results() -> list[Result]:
    """The time of a key with many versions, and how it grows from few to many."""
    few, many = _key_times(FEW), _key_times(MANY)
    growth = math.log(median(many) / median(few)) / math.log(MANY / FEW)
    slowest = quantiles(many, n=20)[-1]
    title = f"a key of a search in {MANY:,} versions"
    return [
        Result(
            "search-key",
            f"{title}, 95 in 100 within",
            slowest,
            "ms",
            tuple(many),
            Target(80, "ms"),
            f"median of {FEW}",
            median(few),
            tuple(few),
        ),
        Result(
            "search-growth",
            f"growth from {FEW} to {MANY:,}, exponent",
            growth,
            "",
            (growth,),
            Target(0.3, ""),
        ),
    ]


def _key_times(versions: int) -> list[float]:
    """Milliseconds from each key to the last byte it brought."""
    argv = (sys.executable, "-m", "tests.bench.chooser_app", str(versions))
    with MeasuredTerminal(argv, environment()) as terminal:
        terminal.until_shown(("Search:", "Enter Take"), SHOWN_SECONDS)
        terminal.until_quiet()
        # The first round fills caches.
        times = [[terminal.last_byte_after(key) * 1000 for key in KEYS] for _ in range(ROUNDS + 1)]
    return [time for each in times[1:] for time in each]
