import json

import pytest
from rich.cells import cell_len

from kvmwizard.plan.json import plan_report
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan, plan_digest
from kvmwizard.plan.shell import shell_lines
from kvmwizard.plan.spans import size_words, span_words
from kvmwizard.plan.text import plan_as_text
from kvmwizard.words import say
from tests.facts_builder import make_facts, node
from tests.plan.answers import make_answers


def a_plan() -> Plan:
    facts = make_facts(
        kvm={"node": node(0o600, group=(0, "root"))}, users={"kvm_group": None, "kvm_group_id": None}
    )
    return make_plan(facts, make_answers(extras=("image-tools",)))


@pytest.mark.parametrize("width", [20, 80, 200])
def test_every_command_stands_whole_and_the_rest_fits(width: int) -> None:
    plan = a_plan()
    text = plan_as_text(plan, {}, width)
    lines = text.splitlines()
    commands = {
        "      " + line for step in plan.steps for action in step.actions for line in shell_lines(action)
    }
    assert commands <= set(lines)
    loose = [line for line in lines if line not in commands and not line.startswith("Digest:")]
    assert all(cell_len(line) <= max(width, 40) for line in loose)
    assert text.endswith(f"Digest: {plan_digest(plan)}\n")
    assert "\x1b" not in text


def test_wide_characters_are_measured_in_cells() -> None:
    note = say("组" * 100)
    plan = a_plan().model_copy(update={"notes": (note,)})
    lines = plan_as_text(plan, {}, 60).splitlines()
    wide = [line for line in lines if "组" in line]
    assert len(wide) > 3
    assert all(cell_len(line) <= 60 for line in wide)
    assert sum(line.count("组") for line in wide) == 100


def test_what_is_so_already_shows_its_evidence_and_no_command() -> None:
    plan = a_plan()
    evidence = {"packages.install": say("installed: qemu-system-x86 1:7.2")}
    text = plan_as_text(plan, evidence, 80)
    assert "Already so: installed: qemu-system-x86 1:7.2" in text
    assert "apt-get" in text
    assert " install --yes" not in text


def test_the_whole_takes_as_long_as_is_said() -> None:
    assert "To do: about 16 minutes" in plan_as_text(a_plan(), {}, 80, 16 * 60.0)


@pytest.mark.parametrize(
    ("disk_bytes", "cost"), [(0, "by root, at once"), (5_000_000, "by root, at once, 5 MB")]
)
def test_a_step_that_takes_no_time_is_done_at_once(disk_bytes: int, cost: str) -> None:
    first = a_plan().steps[0].model_copy(update={"seconds": 0, "disk_bytes": disk_bytes})
    lines = plan_as_text(Plan(user="bob", qemu=None, steps=(first,)), {}, 80).splitlines()
    assert "    " + cost in lines


def test_nothing_to_do() -> None:
    plan = Plan(user="bob", qemu=None, steps=())
    text = plan_as_text(plan, {}, 80)
    assert "There is nothing to do." in text
    assert "Nothing is left to do." in text


def test_all_so_already_leaves_nothing() -> None:
    plan = a_plan()
    text = plan_as_text(plan, {step.id: say("so") for step in plan.steps}, 80)
    assert "Nothing is left to do." in text


def test_a_plan_that_is_only_shown_says_so_first() -> None:
    text = plan_as_text(make_plan(make_facts(live=False), make_answers()), {}, 80)
    assert (
        text.splitlines()[1] == "This is a recorded machine: the plan can be looked at, and not carried out."
    )


def test_the_report_is_json_and_english() -> None:
    plan = a_plan()
    evidence = {"packages.refresh": say("the package lists are {count} hours old", count=3)}
    report = json.loads(json.dumps(plan_report(plan, evidence)))
    assert report["digest"] == plan_digest(plan)
    assert [step["id"] for step in report["steps"]] == [step.id for step in plan.steps]
    assert report["steps"][0]["already_so"] == "the package lists are 3 hours old"
    assert report["steps"][1]["already_so"] is None
    assert report["needs_root"] is True
    assert report["seconds"] == sum(step.seconds for step in plan.steps[1:])
    assert report["disk_bytes"] < sum(step.disk_bytes for step in plan.steps)
    for step, reported in zip(plan.steps, report["steps"], strict=True):
        assert reported["shell"] == [line for action in step.actions for line in shell_lines(action)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (45, "45 seconds"),
        (90, "2 minutes"),
        (3600, "60 minutes"),
        (7200, "2 hours"),
        (200_000, "2 days"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span_words(seconds).english == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 kB"), (10, "1 kB"), (94_000_000, "94 MB"), (1_540_000_000, "1.5 GB")]
)
def test_sizes(size: int, words: str) -> None:
    assert size_words(size).english == words
