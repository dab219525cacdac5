from typing import Literal

import pytest

from kvmwizard.catalog.jobs import jobs_for, why_not_together
from tests.facts_builder import GIB, NOT_LIVE, make_facts


@pytest.mark.parametrize(
    ("project", "processors", "gigabytes", "count"),
    [("linux", 4, 12, 4), ("linux", 16, 3, 4), ("qemu", 4, 12, 4), ("qemu", 16, 5, 4), ("linux", 8, 1, 1)],
)
def test_as_many_as_processors_and_memory_allow(
    project: Literal["linux", "qemu"], processors: int, gigabytes: int, count: int
) -> None:
    facts = make_facts(processor={"processors": processors}, memory={"available": gigabytes * GIB})
    jobs = jobs_for(facts, project, None)
    assert jobs.count == count
    assert (jobs.words is not None) is (count < processors)
    if jobs.words is not None:
        assert "fewer because of memory" in jobs.words.english


def test_debugging_symbols_take_more() -> None:
    facts = make_facts(processor={"processors": 16}, memory={"available": 6 * GIB})
    assert jobs_for(facts, "linux", None, debug_info=True).count < jobs_for(facts, "linux", None).count


def test_the_persons_number_stands_and_the_danger_is_told() -> None:
    facts = make_facts(processor={"processors": 4}, memory={"available": 3 * GIB})
    assert jobs_for(facts, "qemu", 2).words is None
    jobs = jobs_for(facts, "qemu", 8)
    assert jobs.count == 8
    assert jobs.words is not None
    assert "3.0 GB" in jobs.words.english
    assert "choose 2 or fewer" in jobs.words.english


def test_where_nothing_is_known_it_is_one_or_what_was_asked() -> None:
    facts = make_facts(processor={"processors": NOT_LIVE}, memory={"available": NOT_LIVE})
    assert jobs_for(facts, "linux", None).count == 1
    assert jobs_for(facts, "linux", 3).count == 3


def test_both_are_compiled_at_once_where_memory_holds_both() -> None:
    facts = make_facts(memory={"available": 7 * GIB})
    assert why_not_together(facts, 4, 4) is None
    for linux, qemu, debug_info in ((5, 4, False), (4, 5, False), (4, 4, True)):
        words = why_not_together(facts, linux, qemu, debug_info=debug_info)
        assert words is not None
        assert "7.0 GB of memory are free" in words.english
    unknown = make_facts(memory={"available": NOT_LIVE})
    assert why_not_together(unknown, 64, 64) is None
