"""The JSON object: its shape, its stability, its language."""

import json
from gettext import NullTranslations

import pytest

from kvmwizard import words
from kvmwizard.checks.json import check_report
from kvmwizard.checks.judge import judge
from kvmwizard.checks.results import Outcome
from kvmwizard.host.facts import Facts
from tests.checks.machines import FAULTY, SOUND
from tests.facts_builder import make_facts

CHECK_KEYS = {"id", "title", "outcome", "found", "why", "remedy", "cause", "mend"}


def test_the_object_is_as_documented() -> None:
    facts = make_facts(qemu={"binaries": ()})
    report = json.loads(json.dumps(check_report(judge(facts), facts)))
    assert set(report) == {"ready", "checks", "facts"}
    assert report["ready"] is True
    assert all(set(check) == CHECK_KEYS for check in report["checks"])
    assert {check["outcome"] for check in report["checks"]} <= {str(outcome) for outcome in Outcome}
    (qemu,) = [check for check in report["checks"] if check["id"] == "qemu.installed"]
    assert (qemu["outcome"], qemu["cause"], qemu["mend"]) == ("warn", "not-installed", "install-qemu")
    (guest,) = [check for check in report["checks"] if check["id"] == "kvm.guest"]
    assert (guest["outcome"], guest["remedy"], guest["cause"], guest["mend"]) == ("pass", None, None, None)


def test_the_facts_can_be_read_back() -> None:
    facts = SOUND["kvm_pvm: a guest runs without vmx or svm"]
    report = json.loads(json.dumps(check_report(judge(facts), facts)))
    assert Facts.model_validate(report["facts"]) == facts


def test_a_failed_check_is_not_ready() -> None:
    facts = FAULTY["ordinary user before mode 0600"].facts
    report = check_report(judge(facts), facts)
    assert report["ready"] is False


def test_programs_read_english_under_every_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = FAULTY["module not loaded"].facts
    english = check_report(judge(facts), facts)

    class Shouting(NullTranslations):
        def gettext(self, message: str) -> str:
            return message.upper()

    monkeypatch.setattr(words, "reader_translations", Shouting)
    assert str(judge(facts)[0].title).isupper()
    assert check_report(judge(facts), facts) == english
