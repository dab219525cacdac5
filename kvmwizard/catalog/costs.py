"""What building from source takes of time and disk (assets/builds.toml). Pure."""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from kvmwizard.answers import Answers, KernelBuildAnswer, QemuBuildAnswer
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.version import Version, parse_version
from kvmwizard.resources import asset_path

COMPILER_SHARE = 0.9
"""Of the processors' time, how much the compilers get: linking and make's own reading are done by one."""


@dataclass(frozen=True)
class Cost:
    """What one step takes."""

    seconds: float
    bytes: int


def kernel_costs(build: KernelBuildAnswer, workers: int) -> dict[str, Cost]:
    """What the kernel's steps take, by the last word of their ids, as `compile`.

    Args:
        build: what the configuration starts from decides most.
        workers: compilers that really run at once: jobs, or processors where these are fewer.
    """
    table = _tables()["linux"]
    compiled = table["compile"]["running" if build.base == "file" else build.base]
    debug = table["debug_info"] if build.debug_info else {"processor_seconds": 1.0, "bytes": 1.0}
    staged = int(compiled["stage_bytes"])
    return {
        **_fixed(table, "download", "fetch", "unpack", "configure", "boot"),
        "compile": Cost(
            _wall_seconds(compiled["processor_seconds"] * debug["processor_seconds"], workers),
            int(compiled["bytes"] * debug["bytes"]),
        ),
        # The stage, and once more as the payload.
        "stage": Cost(compiled["stage_seconds"], 2 * staged),
        "install": Cost(table["install"]["seconds"], table["install"]["bytes"] + staged),
    }


def qemu_costs(version: Version, build: QemuBuildAnswer, workers: int) -> dict[str, Cost]:
    """What QEMU's steps take, as `kernel_costs` has them, and `python2`."""
    table = _tables()["qemu"]
    compiled = next(
        each for each in table["compile"] if "before" not in each or _is_before(version, each["before"])
    )
    more = max(0, len(build.targets or ()) - 1)
    seconds = compiled["processor_seconds"] + more * compiled["target"]["processor_seconds"]
    size = compiled["bytes"] + more * compiled["target"]["bytes"]
    return {
        **_fixed(table, "download", "fetch", "unpack", "configure", "stage", "install", "python2"),
        "compile": Cost(_wall_seconds(seconds, workers), size),
    }


def packages_cost() -> Cost:
    """What installing the packages that building needs takes, where none of them is there."""
    table = _tables()["packages"]
    return Cost(table["seconds"], table["bytes"])


def disk_needed(answers: Answers) -> int:
    """Bytes that the build folder must have room for, all that is built together; 0 where nothing is."""
    needed = 0
    kernel = chosen_kernel(answers)
    if kernel is not None:
        costs = kernel_costs(kernel.build, workers=1)
        needed += _in_folder(costs, fetched=kernel.source.source == "git")
    qemu = chosen_qemu(answers)
    if qemu is not None:
        costs = qemu_costs(qemu.version, qemu.build, workers=1)
        needed += _in_folder(costs, fetched=qemu.source.source == "git")
    return needed


def boot_needed(answers: Answers) -> int:
    """Bytes that /boot must have room for; 0 where no kernel is built."""
    return 0 if chosen_kernel(answers) is None else int(_tables()["linux"]["install"]["bytes"])


def _in_folder(costs: dict[str, Cost], *, fetched: bool) -> int:
    got = "fetch" if fetched else "download"
    return sum(costs[name].bytes for name in (got, "unpack", "configure", "compile", "stage"))


def _wall_seconds(processor_seconds: float, workers: int) -> float:
    return processor_seconds / (max(1, workers) * COMPILER_SHARE)


def _is_before(version: Version, bound: str) -> bool:
    last = parse_version(bound)
    return last is not None and version < last


def _fixed(table: dict[str, Any], *names: str) -> dict[str, Cost]:
    return {name: Cost(table[name]["seconds"], table[name]["bytes"]) for name in names}


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(asset_path("builds.toml").read_text(encoding="utf-8"))
