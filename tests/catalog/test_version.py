"""Versions in their order, and texts that are none."""

import pytest

from kvmwizard.catalog.version import Version, parse_version

IN_ORDER = (
    "2.6.32.71",
    "2.6.39",
    "2.6.39.4",
    "3.0",
    "4.8-rc1",
    "4.8-rc2",
    "4.8-rc10",
    "4.8",
    "4.8.1",
    "4.8.5",
    "4.8.15",
    "4.10",
    "6.9",
    "6.12-rc7",
    "6.12",
    "6.12.104",
    "10.0.0-rc4",
    "10.0.0",
    "10.1.0",
)

NO_VERSIONS = (
    "",
    "v",
    "6",
    "6.",
    ".6",
    "6.12.",
    "6.12-rc",
    "6.12-rc1-1",
    "6.12 ",
    " 6.12",
    "6.12\n",
    "6.12\x00",
    "-6.12",
    "--help",
    "vv6.12",
    "6.12;reboot",
    "$(reboot)",
    "../../etc/passwd",
    "6.12/../../x",
    "٦.١٢",
    "6.12345",
    "1.2.3.4.5",
    "next-20261122",
    "6.12-rc1234",
    "9" * 10_000,
)


def version(text: str) -> Version:
    parsed = parse_version(text)
    assert parsed is not None, text
    return parsed


def test_numbers_count_and_candidates_come_before_their_release() -> None:
    for texts in (IN_ORDER[::-1], sorted(IN_ORDER), IN_ORDER[::2] + IN_ORDER[1::2]):
        assert [each.text for each in sorted(map(version, texts))] == list(IN_ORDER)


def test_a_zero_at_the_end_makes_no_difference() -> None:
    assert version("4.8") == version("4.8.0")
    assert hash(version("4.8")) == hash(version("4.8.0"))
    assert version("4.8-rc2") != version("4.8")
    assert version("4.8.0") < version("4.8.1")


def test_a_tag_is_a_version() -> None:
    assert version("v6.12-rc3") == version("6.12-rc3")
    assert version("v6.12-rc3").text == "6.12-rc3"
    assert version("6.12-rc3").tag == "v6.12-rc3"
    assert (version("6.12.104").line, version("2.6.39.4").line, version("10.1.0").line) == (
        "6.12",
        "2.6",
        "10.1",
    )
    assert (version("6.12-rc3").candidate, version("6.12").candidate) == (3, None)


@pytest.mark.parametrize("text", NO_VERSIONS, ids=range(len(NO_VERSIONS)))
def test_anything_else_is_none(text: str) -> None:
    assert parse_version(text) is None
