"""Measures kvmwizard against its peers and its targets: `python -m tests.bench [--builds] [FILE]`.

Every comparison is made in one run, interleaved A B B A, and its medians are printed
and written as JSON. A missed target is printed as such; a busy machine can miss what an idle
one meets, so it is no failure. What builds kernels takes long, and is measured for itself.
"""

import argparse
import compileall
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.builds import build_results
from tests.bench.commands import CHECKOUT, check_results, version_result
from tests.bench.listing import listing_results
from tests.bench.measure import Result
from tests.bench.screens import first_frame_result, terminal_results
from tests.bench.search import search_results
from tests.fetch.bench import fetch_results
from tests.sources import CannotBeHad

Measurement = Callable[[], list[Result]]


def report(results: list[Result]) -> None:
    """Print the results as they come."""
    for result in results:
        sys.stdout.write(f"{result.as_line()}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure all, print, and write the JSON file."""
    options = _options()
    for folder in ("kvmwizard", "screens"):
        compileall.compile_dir(CHECKOUT / folder, quiet=1)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as states:
        programs: tuple[Measurement, ...] = (
            version_result,
            check_results,
            partial(first_frame_result, states),
            partial(terminal_results, states),
            search_results,
            listing_results,
            fetch_results,
        )
        for measure in (build_results,) if options.builds else programs:
            try:
                fresh = measure()
            except CannotBeHad as reason:
                sys.stdout.write(f"Not measured: {reason}.\n")
                continue
            report(fresh)
            results += fresh
    file: Path = options.file or Path("bench-builds.json" if options.builds else "bench.json")
    file.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n", encoding="utf-8")
    missed = [result.title for result in results if result.met is False]
    sys.stdout.write(f"Missed: {', '.join(missed) or 'none'}. All samples are in {file}.\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--builds", action="store_true", help="building kernels and QEMUs, and nothing else")
    parser.add_argument("file", nargs="?", type=Path, help="for all samples, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
