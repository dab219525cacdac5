"""Names that are swapped while root writes, reads, removes and gives away: not one file goes astray."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.run.root_start import HELPER_PROGRAM
from tests.conftest import Counts, Tries
from tests.torture.races import CARELESS, RACES

RACES_PROGRAM = Path(__file__).with_name("races.py")

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="the helper acts as root: run the tests as root"),
]


def raced(tries: int) -> dict[str, dict[str, Any]]:
    """What `races` prints, from a mount namespace with an empty /run of its own."""
    enter = [
        "/usr/bin/unshare",
        "--mount",
        "/bin/sh",
        "-ec",
        'mount -t tmpfs -o mode=755 tmpfs /run; exec "$@"',
    ]
    race = [sys.executable, "-I", str(RACES_PROGRAM), str(HELPER_PROGRAM), str(tries)]
    said = subprocess.run([*enter, "sh", *race], stdout=subprocess.PIPE, check=True)
    found: dict[str, dict[str, Any]] = json.loads(said.stdout)
    return found


def test_nothing_of_root_s_goes_astray_whatever_is_swapped_under_its_hands(
    tries: Tries, counts: Counts
) -> None:
    told = raced(tries(short=3_600, full=1_000_000))
    (careless,) = (told.pop(name) for name in CARELESS)
    assert set(told) == set(RACES)
    counts(
        "attackers: names swapped while root works",
        tries=sum(each["tries"] for each in told.values()),
        swaps=sum(each["swaps"] for each in told.values()),
        refused=sum(each["refused"] for each in told.values()),
        leaks=sum(each["leaked"] for each in told.values()),
        leaks_of_a_careless_writer=f"{careless['leaked']} of {careless['tries']}",
    )
    counts(
        "attackers: names swapped before each system call of root's",
        calls=sum(each["by step"]["steps"] for each in told.values()),
        leaks=sum(each["by step"]["leaked"] for each in told.values()),
        leaks_of_a_careless_writer=f"{careless['by step']['leaked']} of {careless['by step']['steps']}",
    )
    assert {name: each["leaked"] for name, each in told.items()} == dict.fromkeys(RACES, 0)
    assert {name: each["by step"]["leaked"] for name, each in told.items()} == dict.fromkeys(RACES, 0)
    assert careless["by step"]["leaked"] > 0, "whoever looks first and opens later is not caught"
    assert min(each["by step"]["steps"] for each in told.values()) > 0
    # On a machine whose processors are all busy, a racer may hardly meet root in a short time.
    for outcome in ("done", "refused", "swaps"):
        assert sum(each[outcome] for each in told.values()) > 0
