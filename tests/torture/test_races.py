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
LEAST_OF_EACH = 5
"""Of tries that went well and of tries that were refused: fewer, and racer and root never met."""

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
    told = raced(tries(short=12_000, full=1_000_000))
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
    assert {name: each["leaked"] for name, each in told.items()} == dict.fromkeys(RACES, 0)
    assert careless["leaked"] > 0, "the racer never won against anybody, so it shows nothing"
    for name, each in told.items():
        assert min(each["done"], each["refused"]) >= LEAST_OF_EACH, (name, each)
