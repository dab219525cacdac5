"""Which cause is named: one fault, one failed check."""

import pytest

from kvmwizard.checks.judge import is_ready, judge
from kvmwizard.checks.results import CheckResult, Mend, Outcome
from kvmwizard.host.facts import Facts
from tests.checks.machines import (
    BY_BOB,
    FAULTY,
    NO_DEVICE,
    NOT_LOADED,
    REFUSED,
    ROOTS_OWN_NODE,
    SOUND,
    Faulty,
)
from tests.facts_builder import make_facts


def failed(results: tuple[CheckResult, ...]) -> list[CheckResult]:
    return [result for result in results if result.outcome is Outcome.FAIL]


def by_id(facts: Facts, user: str | None = None) -> dict[str, CheckResult]:
    return {result.id: result for result in judge(facts, user)}


@pytest.mark.parametrize("faulty", FAULTY.values(), ids=FAULTY.keys())
def test_one_fault_is_one_failed_check_with_its_cause(faulty: Faulty) -> None:
    results = judge(faulty.facts)
    assert not is_ready(results)
    assert [(result.id, result.cause) for result in failed(results)] == [(faulty.id, faulty.cause)]
    (result,) = failed(results)
    assert result.remedy is not None
    assert faulty.said in f"{result.found} {result.remedy}"


@pytest.mark.parametrize("facts", SOUND.values(), ids=SOUND.keys())
def test_nothing_fails_where_guests_can_run(facts: Facts) -> None:
    results = judge(facts)
    assert failed(results) == []
    assert is_ready(results)


def test_later_checks_name_what_comes_first() -> None:
    checks = by_id(make_facts(kvm=NO_DEVICE, modules=NOT_LOADED))
    for waiting in ("kvm.device.exists", "kvm.device.opens", "kvm.api", "kvm.guest", "access.user"):
        assert checks[waiting].outcome is Outcome.NOT_APPLICABLE
        assert "module comes first" in checks[waiting].found.english


def test_flags_and_function_are_explained_where_they_differ() -> None:
    found = by_id(SOUND["kvm_pvm: a guest runs without vmx or svm"])["processor.virtualization"].found.english
    assert "neither vmx nor svm" in found
    assert "a guest ran" in found
    assert "kvm_pvm" in found


def test_flags_and_function_are_explained_without_naming_what_is_not_there() -> None:
    facts = SOUND["a guest runs, whatever firmware, flags and modules say"]
    found = by_id(facts)["processor.virtualization"].found.english
    assert "yet a guest ran" in found
    assert "kvm_pvm" not in found


def test_the_user_in_question_counts_and_not_the_caller() -> None:
    facts = make_facts(users={"caller": "root", "effective_groups": (0,)})
    assert is_ready(judge(facts))
    assert is_ready(judge(facts, "alice"))
    assert not is_ready(judge(facts, "bob"))
    assert not is_ready(judge(facts, "nobody-of-that-name"))


def test_only_root_may_open_a_device_of_mode_0600() -> None:
    facts = make_facts(kvm={"node": ROOTS_OWN_NODE}, users={"caller": "root", "effective_groups": (0,)})
    assert is_ready(judge(facts))
    refused = by_id(facts, "alice")["access.user"]
    assert refused.outcome is Outcome.FAIL
    assert refused.mend is Mend.GRANT_ACCESS


def test_an_older_session_is_told_that_the_next_login_holds() -> None:
    checks = by_id(make_facts(kvm=REFUSED, users={"effective_groups": (27, 1000)}))
    assert checks["access.next_login"].outcome is Outcome.PASS
    assert "Log out and in again" in str(checks["access.user"].remedy)


def test_access_by_a_list_alone_is_a_warning_for_later() -> None:
    checks = by_id(SOUND["bob by the device's list"])
    assert checks["access.user"].outcome is Outcome.PASS
    assert checks["access.next_login"].outcome is Outcome.WARN
    assert checks["access.next_login"].mend is Mend.GRANT_ACCESS


def test_root_needs_no_group() -> None:
    checks = by_id(make_facts(users={"caller": "root", "effective_groups": (0,)}))
    assert checks["access.user"].outcome is checks["access.next_login"].outcome is Outcome.PASS


def test_nobody_is_told_of_a_next_login_that_would_change_nothing() -> None:
    checks = by_id(make_facts(kvm=REFUSED, users=BY_BOB))
    assert checks["access.next_login"].outcome is Outcome.NOT_APPLICABLE
