"""What check and plan say of real and of recorded machines, and which answers a plan is made of."""

import json
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.answers import AccessAnswer, Answers, KernelOptionsAnswer, LocalQemu, QemuAnswer
from kvmwizard.session import Session, SessionStore
from tests.cli.command import kvmwizard

HOSTS = Path(__file__).parents[1] / "hosts"


def plan_of(home: Path, *words: str | Path) -> dict[str, Any]:
    result = kvmwizard(home, "plan", "--json", *words)
    assert result.returncode == 0, result.stderr
    plan: dict[str, Any] = json.loads(result.stdout)
    return plan


def step_ids(plan: dict[str, Any]) -> list[str]:
    return [step["id"] for step in plan["steps"]]


@pytest.mark.parametrize(
    ("host", "code"),
    [("intel-debian-12", 0), ("intel-firmware-off", 1), ("guest-without-nesting", 1)],
)
def test_a_recorded_machine_is_judged(tmp_path: Path, host: str, code: int) -> None:
    result = kvmwizard(tmp_path, "check", "--json", "--root", HOSTS / host)
    report = json.loads(result.stdout)
    assert (result.returncode, report["ready"]) == (code, code == 0)
    assert set(report) == {"ready", "checks", "facts"}
    assert report["facts"]["live"] is False


def test_a_recorded_machine_is_planned_for_by_its_own_facts(tmp_path: Path) -> None:
    SessionStore(tmp_path / ".local/state/kvmwizard").save(
        Session(answers=Answers(access=AccessAnswer(user="nobody2")))
    )
    plan = plan_of(tmp_path, "--root", HOSTS / "intel-debian-12")
    assert "nobody2" not in json.dumps(plan)


def test_check_and_json_agree(tmp_path: Path) -> None:
    text = kvmwizard(tmp_path, "check")
    as_json = kvmwizard(tmp_path, "check", "--json")
    assert text.returncode == as_json.returncode == (0 if json.loads(as_json.stdout)["ready"] else 1)


def test_check_for_a_named_user(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "check", "--user", "bob", "--root", HOSTS / "intel-debian-12")
    assert result.returncode in {0, 1, 2}
    assert "bob" in result.stdout + result.stderr


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_the_plan_is_of_the_answers_file(tmp_path: Path, user: str) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"access": {"user": user}}))
    assert plan_of(tmp_path, "--answers", answers)["user"] == user


def test_the_plan_is_of_the_saved_answers(tmp_path: Path) -> None:
    SessionStore(tmp_path / "state").save(Session(answers=Answers(access=AccessAnswer(user="nobody"))))
    assert plan_of(tmp_path, "--state-dir", tmp_path / "state")["user"] == "nobody"
    assert plan_of(tmp_path)["user"] != "nobody"


def test_the_state_directory_may_stand_before_the_command(tmp_path: Path) -> None:
    path = SessionStore(tmp_path / "state").path
    SessionStore(tmp_path / "state").save(Session())
    path.write_text('{"schema_version": 999}')
    before = kvmwizard(tmp_path, "--state-dir", tmp_path / "state", "plan")
    after = kvmwizard(tmp_path, "plan", "--state-dir", tmp_path / "state")
    assert before.stderr == after.stderr
    assert before.returncode == 2


def test_answers_that_this_machine_cannot_do_are_all_named(tmp_path: Path) -> None:
    answers = Answers(
        kernel_options=KernelOptionsAnswer(modules=("nvidia",)),
        qemu=QemuAnswer(qemu=LocalQemu(path="/nonexistent/qemu")),
        access=AccessAnswer(user="nobody2"),
    )
    path = tmp_path / "answers.json"
    path.write_text(answers.model_dump_json(exclude_none=True))
    result = kvmwizard(tmp_path, "plan", "--answers", path)
    assert result.returncode == 2
    heading, *problems = result.stderr.splitlines()
    assert heading == "These answers cannot be carried out on this machine:"
    assert [problem.split(":")[0].strip() for problem in problems] == [
        "kernel_options.modules",
        "qemu.qemu",
        "access.user",
    ]


def test_the_script_is_one_that_a_shell_can_read(tmp_path: Path) -> None:
    script = kvmwizard(tmp_path, "plan", "--format", "sh").stdout
    assert script.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in script


def test_the_digest_is_the_same_in_every_form(tmp_path: Path) -> None:
    digest = plan_of(tmp_path)["digest"]
    assert digest in kvmwizard(tmp_path, "plan").stdout
    assert digest in kvmwizard(tmp_path, "plan", "--format", "sh").stdout
