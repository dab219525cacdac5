"""Really full disks, of 1, 4 and 16 MB: nothing is lost, it is said what to do, and it goes on with room."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Counts, Tries
from tests.end_to_end.wizard import kvmwizard, open_wizard, wait_for_page, walk_to
from tests.fetch.conftest import make_small_tree
from tests.fetch.downloads import Downloads
from tests.fetch.workers import BUILDER, IDENTITY, Bench, bench
from tests.machine.machine import ThrowawayMachine
from tests.mirror.mirror import Mirror

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]

ROOT = Path(__file__).parents[2]
SIZES = (1, 4, 16)


def on_small_disk(subject: str, **settings: Any) -> Mapping[str, list[str]]:
    """What `full_disk_driver` found, in a mount namespace of its own."""
    driver = [sys.executable, "-m", "tests.torture.full_disk_driver", subject, json.dumps(settings)]
    said = subprocess.run(
        ["/usr/bin/unshare", "--mount", "--propagation", "private", *driver],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
    )
    found: Mapping[str, list[str]] = json.loads(said.stdout)
    assert all("Make room" in words for words in found["said"]), found["said"]
    return found


def test_answers_outlast_a_full_disk(tmp_path: Path, tries: Tries, counts: Counts) -> None:
    refused, amiss = 0, []
    for size in SIZES[: tries(short=1, full=3)]:
        found = on_small_disk("answers", folder=str(tmp_path / "disk"), megabytes=size)
        refused += len(found["said"])
        amiss += found["amiss"]
    counts("answers on a full disk", refused=refused, lost=len(amiss))
    assert refused > 0
    assert amiss == []


def test_a_run_stops_on_a_full_disk_and_goes_on_with_room(
    tmp_path: Path, tries: Tries, counts: Counts
) -> None:
    stopped, runs, amiss = 0, 0, []
    for size in SIZES[: tries(short=1, full=3)]:
        for free in range(0, 14, tries(short=7, full=1)):
            work = tmp_path / f"work-{size}-{free}"
            settings = {"megabytes": size, "free": free, "work": str(work)}
            found = on_small_disk("run", folder=str(tmp_path / "disk"), **settings)
            stopped += bool(found["said"])
            runs += 1
            amiss += [f"{size} MB, {free} blocks: {each}" for each in found["amiss"]]
    counts("runs on a full disk", runs=runs, stopped_in_words=stopped, lost=len(amiss))
    assert stopped > 0
    assert amiss == []


@pytest.fixture
def downloads(mirror: Mirror, tmp_path: Path) -> Downloads:
    """A source on the mirror that is larger than the smallest disk, and whose tree is than the next."""
    mirror.layout.add_kernel("6.1.9", make_small_tree(tmp_path / "tree", 2_500_000))
    return Downloads(mirror, tmp_path / "disk")


def test_sources_are_got_on_a_full_disk_once_there_is_room(
    downloads: Downloads, tries: Tries, counts: Counts
) -> None:
    refused, amiss = [], []
    with bench() as builder:
        # Builders read the key, too, and the disk lies where they may go.
        ours = downloads.mirror.key.public
        downloads.mirror.key.public = builder.folder / "key.asc"
        downloads.mirror.key.public.write_bytes(ours.read_bytes())
        downloads.mirror.key.public.chmod(0o644)
        for size in SIZES[: tries(short=1, full=3)]:
            found = on_small_disk("sources", megabytes=size, **_sources(builder, downloads))
            refused.append(len(found["said"]))
            amiss += found["amiss"]
        downloads.mirror.key.public = ours
    counts("sources on full disks", disks=len(refused), refused=sum(refused), lost=len(amiss))
    assert refused == [1, 1, 0][: len(refused)]
    assert amiss == []


def _sources(builder: Bench, downloads: Downloads) -> dict[str, Any]:
    there = Downloads(downloads.mirror, builder.folder / "disk")
    unpack = {"identity": IDENTITY, "archive": str(there.file), "tree": str(there.folder / "source")}
    return {
        "folder": str(there.folder),
        "builder": BUILDER,
        "download": there.action(),
        "unpack": {**unpack, "stamp": str(there.folder / "source.stamp")},
    }


SMALL = "/small"
FILL = f"dd if=/dev/zero of={SMALL}/filler bs=4096 2> /dev/null; true"
RUN_SECONDS = 240.0


@pytest.fixture
def small_machine(program_machine: ThrowawayMachine) -> ThrowawayMachine:
    """A machine with a disk of 1 MB."""
    mount = f"mkdir {SMALL} && mount -t tmpfs -o size=1m,mode=0755 tmpfs {SMALL}"
    program_machine.do(["/bin/sh", "-ec", mount])
    return program_machine


@pytest.mark.slow
def test_the_wizard_says_that_its_disk_is_full_and_keeps_what_was_answered(
    small_machine: ThrowawayMachine, counts: Counts
) -> None:
    state = ["--state-dir", f"{SMALL}/state"]
    terminal = open_wizard(small_machine, *state)
    walk_to(terminal, "Kernel")
    small_machine.do(["/bin/sh", "-c", FILL])
    # Whether on the page or beside it: what happened, and what to do.
    terminal.press("Enter")
    terminal.wait_for("No space left on device", "Make room")
    kept = json.loads(small_machine.path(f"{SMALL}/state/session.json").read_bytes())["page"]
    assert kept == "kernel"
    small_machine.do(["rm", f"{SMALL}/filler"])
    walk_to(terminal, "Access", begin="Kernel options")
    small_machine.do(["kill", "-9", str(terminal.process)])
    terminal.close()
    terminal = open_wizard(small_machine, *state)
    wait_for_page(terminal, "Access")
    terminal.close()
    counts("the wizard on a full disk", kept_at=kept)


@pytest.mark.slow
def test_apply_stops_on_a_full_disk_and_goes_on_with_room(
    small_machine: ThrowawayMachine, counts: Counts
) -> None:
    apply = ["apply", "--yes", "--state-dir", f"{SMALL}/state"]
    small_machine.do(["/bin/sh", "-c", FILL])
    code, _, complaints = kvmwizard(small_machine, apply, timeout=RUN_SECONDS)
    assert code != 0
    assert "Make room" in complaints
    assert "Traceback" not in complaints
    stopped = 1
    for blocks in (6, 10, 14):
        small_machine.do(["truncate", "--size", f"-{blocks * 4096}", f"{SMALL}/filler"])
        code, output, complaints = kvmwizard(small_machine, apply, timeout=RUN_SECONDS)
        assert "Traceback" not in output + complaints
        stopped += code != 0
        assert code == 0 or "Make room" in output + complaints, (code, output, complaints)
    small_machine.do(["rm", f"{SMALL}/filler"])
    code, output, complaints = kvmwizard(small_machine, apply, timeout=RUN_SECONDS)
    counts("apply on a full disk", stopped_in_words=stopped, ended_with_room_with_code=code)
    assert code == 0, (output, complaints)
