"""What commands take: `kvmwizard check` and `kvmwizard --version` against their peers."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.bench.measure import Result, Target, compare, interleaved

CHECKOUT = Path(__file__).parents[2]
KVMWIZARD = (sys.executable, "-m", "kvmwizard")
NOTHING = (sys.executable, "-c", "pass")
CHECKS_PROPER = """\
import time
from kvmwizard.checks.judge import judge
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
started = time.perf_counter()
judge(gather(Host()))
print(time.perf_counter() - started)
"""
COMMAND_SECONDS = 60


def environment() -> dict[str, str]:
    """The caller's, from the checkout, with compiled modules kept as an installation keeps them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}


def output(argv: Sequence[str]) -> str:
    """Standard output of a command that ends well or says "not ready" (1)."""
    result = subprocess.run(
        argv, check=False, capture_output=True, text=True, env=environment(), timeout=COMMAND_SECONDS
    )
    if result.returncode not in {0, 1} or "Traceback" in result.stderr:
        raise RuntimeError(f"{argv} returned {result.returncode}: {result.stderr}")
    return result.stdout


def milliseconds(argv: Sequence[str]) -> float:
    """The whole run of a command, from before its start to its end."""
    started = time.perf_counter()
    output(argv)
    return (time.perf_counter() - started) * 1000


def version_result() -> list[Result]:
    """The cost of asking for the version, over an interpreter that does nothing."""
    samples = interleaved(
        lambda: milliseconds([*KVMWIZARD, "--version"]),
        lambda: milliseconds(NOTHING),
    )
    return [compare("version", "kvmwizard --version", "ms", samples, "python -c pass")]


def check_results() -> list[Result]:
    """The whole `kvmwizard check`, and its checks proper, against virt-host-validate's whole run."""
    validate = shutil.which("virt-host-validate")
    whole_target, proper_target = Target(200, "ms"), Target(3, "")
    if validate is None:
        sys.stdout.write(
            "virt-host-validate is not installed (libvirt-clients), so nothing is compared with it.\n"
        )
        samples = [milliseconds([*KVMWIZARD, "check"]) for _ in range(10)][1:]
        return [Result("check", "kvmwizard check", median(samples), "ms", tuple(samples), whole_target)]
    peer = [validate, "qemu"]
    whole = interleaved(lambda: milliseconds([*KVMWIZARD, "check"]), lambda: milliseconds(peer))
    proper = interleaved(
        lambda: float(output([sys.executable, "-c", CHECKS_PROPER])) * 1000, lambda: milliseconds(peer)
    )
    return [
        replace(
            compare("check", "kvmwizard check", "ms", whole, "virt-host-validate qemu"), target=whole_target
        ),
        replace(
            compare("checks-proper", "its checks proper", "ms", proper, "virt-host-validate qemu"),
            target=proper_target,
            target_is_on_ratio=True,
        ),
    ]
