"""Finding versions at every key."""

import time

import pytest

from kvmwizard.catalog.catalogue import VersionEntry
from kvmwizard.catalog.listed import Listed
from kvmwizard.catalog.marks import marked
from kvmwizard.catalog.search import MOST_SHOWN, VersionIndex

MANY = 10_000


def entries(count: int) -> tuple[VersionEntry, ...]:
    listed = [
        Listed(f"{major}.{minor}.{patch}")
        for major in range(3, 8)
        for minor in range(20)
        for patch in range(100)
    ]
    return marked("linux", listed[-count:], "2026-11-22")


@pytest.fixture(scope="module")
def index() -> VersionIndex:
    return VersionIndex(entries(MANY))


def found(index: VersionIndex, text: str) -> list[str]:
    return [entry.version for entry in index.search(text).entries]


def test_nothing_typed_shows_the_newest(index: VersionIndex) -> None:
    for text in ("", "  "):
        result = index.search(text)
        assert (len(result.entries), result.total) == (MOST_SHOWN, MANY)
        assert result.entries[0].version == "7.19.99"


def test_what_begins_with_the_text_comes_first(index: VersionIndex) -> None:
    versions = found(index, "4.8")
    assert versions[:2] == ["4.8.99", "4.8.98"]
    assert versions[99:101] == ["4.8.0", "7.4.89"]
    assert "6.14.8" not in versions
    assert found(index, "19.99")[0] == "7.19.99"


def test_a_tag_is_found_as_well(index: VersionIndex) -> None:
    assert found(index, "v4.8.5") == found(index, "V4.8.5 ")
    assert "4.8.5" in found(index, "v4.8.5")


def test_marks_are_found_by_what_people_call_them(index: VersionIndex) -> None:
    assert found(index, "book") == ["4.8.5"]
    assert found(index, "newest") == found(index, "LATEST") == ["7.19.99"]
    assert index.search("eol").total == index.search("end-of-life").total > 1000
    assert found(index, "eol book") == ["4.8.5"]


def test_no_more_is_given_than_asked_for_and_all_are_counted(index: VersionIndex) -> None:
    result = index.search("5.", limit=7)
    assert len(result.entries) == 7
    assert result.total > 2000


@pytest.mark.parametrize(
    "text", ["9.9.9", "x", "\n", "4.8.5\nbooks", "^4", ".*", "\\", "[", "\x00", "é" * 10_000]
)
def test_what_nothing_has_is_not_found(index: VersionIndex, text: str) -> None:
    result = index.search(text)
    assert result.total == 0 or not text.strip()


def test_no_versions_at_all() -> None:
    assert VersionIndex(()).search("6").entries == ()


def test_a_key_takes_milliseconds_whatever_the_number(index: VersionIndex) -> None:
    for text in ("4", "4.8", "6.1", "longterm", "nothing"):
        taken = []
        for _ in range(5):
            started = time.perf_counter()
            index.search(text)
            taken.append(time.perf_counter() - started)
        # A hundredth of a second is a quarter of what a key may take to the last painted byte.
        assert min(taken) < 0.02, text
