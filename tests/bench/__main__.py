"""Measures kvmwizard against its peers and its targets: `python -m tests.bench [FILE]`.

Every comparison is made in one run, interleaved A B B A, and its medians are printed
and written as JSON. A missed target is printed as such; a busy machine can miss what an idle
one meets, so it is no failure.
"""

import compileall
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.commands import CHECKOUT, check_results, version_result
from tests.bench.listing import listing_results
from tests.bench.measure import Result
from tests.bench.screens import first_frame_result, terminal_results
from tests.bench.search import search_results


def report(results: list[Result]) -> None:
    """Print the results as they come."""
    for result in results:
        sys.stdout.write(f"{result.as_line()}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure all, print, and write the JSON file."""
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "bench.json")
    for folder in ("kvmwizard", "screens"):
        compileall.compile_dir(CHECKOUT / folder, quiet=1)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as states:
        measurements: tuple[Callable[[], list[Result]], ...] = (
            version_result,
            check_results,
            partial(first_frame_result, states),
            partial(terminal_results, states),
            search_results,
            listing_results,
        )
        for measure in measurements:
            fresh = measure()
            report(fresh)
            results += fresh
    file.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n", encoding="utf-8")
    missed = [result.title for result in results if result.met is False]
    sys.stdout.write(f"Missed: {', '.join(missed) or 'none'}. All samples are in {file}.\n")


if __name__ == "__main__":
    main()
