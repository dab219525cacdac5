"""The checks as one JSON object, in English under every locale."""

from collections.abc import Sequence

from kvmwizard.checks.judge import is_ready
from kvmwizard.checks.results import CheckResult
from kvmwizard.host.facts import Facts


def check_report(results: Sequence[CheckResult], facts: Facts) -> dict[str, object]:
    """`ready`, `checks` and `facts`, ready for `json.dumps`."""
    return {
        "ready": is_ready(results),
        "checks": [check_as_json(result) for result in results],
        "facts": facts.model_dump(mode="json"),
    }


def check_as_json(result: CheckResult) -> dict[str, object]:
    """One check; `remedy`, `cause` and `mend` are null where there is none."""
    return {
        "id": result.id,
        "title": result.title.english,
        "outcome": result.outcome.value,
        "found": result.found.english,
        "why": result.why.english,
        "remedy": result.remedy.english if result.remedy else None,
        "cause": result.cause.value if result.cause else None,
        "mend": result.mend.value if result.mend else None,
    }
