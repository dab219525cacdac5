"""The table: every width, colour or none, and whatever a machine's own texts contain."""

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from kvmwizard.checks.judge import judge
from kvmwizard.checks.results import Outcome
from kvmwizard.checks.table import outcome_word
from kvmwizard.checks.text import checks_as_text
from kvmwizard.host.facts import Facts
from kvmwizard.words import say
from kvmwizard.wrapping import signs_in_ascii
from tests.checks.machines import FAULTY, SOUND
from tests.facts_builder import make_facts

MACHINES = {**{name: faulty.facts for name, faulty in FAULTY.items()}, **SOUND}
CHINESE = "处理器支持虚拟化，客户机可以直接运行。"  # noqa: RUF001  -- Chinese commas
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def shown(facts: Facts, width: int = 80, *, colour: bool = False) -> str:
    return checks_as_text(judge(facts), facts, width, colour)


def flowing(text: str) -> str:
    """The text as one line, to look for a sentence that was broken."""
    return " ".join(text.split())


@pytest.mark.parametrize("width", [20, 40, 63, 64, 80, 120, 200])
@pytest.mark.parametrize("facts", MACHINES.values(), ids=MACHINES.keys())
def test_no_line_is_wider_than_asked(facts: Facts, width: int) -> None:
    assert all(cell_len(line) <= width for line in shown(facts, width).splitlines())


@pytest.mark.parametrize("width", [40, 80])
def test_colour_adds_escapes_and_nothing_else(width: int) -> None:
    facts = FAULTY["module not loaded"].facts
    plain = shown(facts, width)
    assert "\x1b" not in plain
    coloured = shown(facts, width, colour=True)
    assert "\x1b" in coloured
    assert ESCAPES.sub("", coloured) == plain


def test_every_outcome_has_a_word_of_its_own() -> None:
    assert len({outcome_word(outcome) for outcome in Outcome}) == len(Outcome)


def test_a_kernel_log_cannot_steer_the_terminal() -> None:
    facts = make_facts(
        host_name="build\x1b[31m-01",
        kvm={
            "open_error": "broken\x1b]0;title\x07\r\n",
            "opened": "failed",
            "api_version": {"unknown": "not-shown"},
            "guest": {"unknown": "not-shown"},
        },
    )
    text = shown(facts)
    assert "broken?]0;title" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)


def test_signs_fit_an_ascii_terminal() -> None:
    for facts in MACHINES.values():
        signs_in_ascii(shown(facts)).encode("ascii")


def test_it_ends_with_the_verdict_and_what_to_do_first() -> None:
    text = flowing(shown(FAULTY["module not loaded"].facts))
    assert "Not ready: KVM guests cannot run here for alice yet." in text
    assert text.endswith("To do first: Run `modprobe kvm_intel` as root; the wizard's plan can do it.")


def test_a_ready_machine_is_told_what_comes_next() -> None:
    text = flowing(shown(make_facts()))
    assert "Ready: KVM guests run here for alice." in text
    assert "warning" not in text
    assert "kvmwizard verify" in text


def test_where_nothing_is_missing_nothing_is_offered() -> None:
    lacking = make_facts(qemu={"binaries": ()})
    assert "`kvmwizard` sets up what is missing" in flowing(shown(lacking))
    assert flowing(shown(make_facts())).endswith("Next: `kvmwizard verify` proves it with QEMU.")


def test_a_verdict_without_a_guest_says_so() -> None:
    assert "but no guest was tried" in flowing(shown(SOUND["recorded"]))


def test_warnings_are_counted() -> None:
    one = make_facts(qemu={"binaries": ()})
    assert "1 warning above" in flowing(shown(one))
    two = make_facts(qemu={"binaries": ()}, kvm={"vhost_net": None})
    assert "2 warnings above" in flowing(shown(two))


def test_the_user_in_question_is_named() -> None:
    facts = make_facts(users={"caller": "root"})
    text = checks_as_text(judge(facts, "bob"), facts, 80, False, "bob")
    assert "for bob?" in text
    assert "cannot run here for bob" in text


def test_chinese_is_laid_out_by_cells() -> None:
    facts = make_facts()
    results = tuple(
        replace(result, title=say("处理器虚拟化"), found=say(CHINESE * 4)) for result in judge(facts)
    )
    for width in (30, 80):
        lines = checks_as_text(results, facts, width, False).splitlines()
        assert all(cell_len(line) <= width for line in lines)
        assert not any(line.strip().startswith(("，", "。")) for line in lines)  # noqa: RUF001  -- Chinese commas
