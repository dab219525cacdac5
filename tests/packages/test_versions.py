import random
import subprocess

import pytest

from kvmwizard.packages.apk import Apk
from kvmwizard.packages.versions import compare_debian, compare_rpm

ALPHABET = "0123456789abz.+~-"
OPERATORS = {-1: "lt", 0: "eq", 1: "gt"}


def random_version(chance: random.Random) -> str:
    epoch = chance.choice(["", "", "", "0:", "1:"])
    rest = "".join(chance.choice(ALPHABET) for _ in range(chance.randint(0, 7)))
    return f"{epoch}{chance.choice('0123456789')}{rest}0"


def test_orders_as_dpkg_does() -> None:
    chance = random.Random(1)  # noqa: S311  -- the same versions at every run
    for _ in range(150):
        one = random_version(chance)
        other = chance.choice([random_version(chance), one + "~1", one + "+b1", one + "a", one + "-0"])
        order = compare_debian(one, other)
        verdict = subprocess.run(
            ["/usr/bin/dpkg", "--compare-versions", one, OPERATORS[order], other], check=False
        )
        assert verdict.returncode == 0, (one, OPERATORS[order], other)
        assert compare_debian(other, one) == -order


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.0.0", "10.1.0"),
        ("5.14.0-70.el9", "5.14.0-503.el9"),
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0^git1"),
        ("1.0^git1", "1.0.1"),
        ("9.9", "1:0.1"),
        ("1.0a", "1.0.1"),
        ("2.9", "2.10"),
    ],
)
def test_orders_as_rpm_does(older: str, newer: str) -> None:
    assert compare_rpm(older, newer) < 0 < compare_rpm(newer, older)
    assert compare_rpm(older, older) == 0


def test_a_missing_release_does_not_count_for_rpm() -> None:
    assert compare_rpm("1.0-3", "1.0") == 0


def test_a_pre_release_of_alpine_is_older() -> None:
    assert Apk().compare_versions("1.2_rc1-r0", "1.2-r0") < 0 < Apk().compare_versions("1.2_p1-r0", "1.2-r0")
