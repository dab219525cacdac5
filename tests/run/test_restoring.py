"""What stands on the machine and could not be restored is said at review, and undo leaves it out."""

import json
from pathlib import Path

import pytest

from kvmwizard.plan import model
from kvmwizard.plan.changes import DeviceGiven, FileWritten, GroupCreated, parse_change
from kvmwizard.plan.undo import make_undo_plan
from kvmwizard.run.restoring import restorable, told_of_this_machine
from kvmwizard.run.root_helper import checked_steps
from kvmwizard.words import say

OPTIONS = "/etc/modprobe.d/kvmwizard.conf"
OURS = "# Written by kvmwizard.\noptions kvm_intel nested=0\n"


def written(text: str | None, mode: int | None, path: str = OPTIONS) -> str:
    return FileWritten(path=path, previous_text=text, previous_mode=mode).model_dump_json()


@pytest.mark.parametrize(
    "change",
    [
        written(None, None),
        written(OURS, 0o644),
        written(OURS, 0o600),
        GroupCreated(group="kvm").model_dump_json(),
        DeviceGiven(path="/dev/kvm", previous_group="root", previous_mode=0o600).model_dump_json(),
    ],
)
def test_what_root_can_write_back_is_undone_as_it_is(change: str) -> None:
    assert restorable(change) == (change, None)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("options kvm ignore_msrs=1\n", 0o644),
        ("install kvm /tmp/evil\n", 0o644),
        (OURS, 0o666),
        (OURS, 0o4755),
        (None, 0o600),
    ],
)
def test_a_file_that_root_would_not_write_is_removed_and_that_is_said(text: str | None, mode: int) -> None:
    change, words = restorable(written(text, mode))
    assert change == written(None, None)
    assert words is not None
    assert "undo cannot bring it back: it removes the file. Keep a copy." in words.english


def test_a_mode_that_root_does_not_set_is_left_to_the_person() -> None:
    given = DeviceGiven(path="/dev/kvm", previous_group="root", previous_mode=0o770)
    change, words = restorable(given.model_dump_json())
    assert change is None
    assert words is not None
    assert "mode 0770" in words.english


def plan_writing(path: Path, text: str = OURS) -> model.Plan:
    holds = {"path": str(path), "text": text, "mode": 0o644}
    step = model.Step(
        id="modules.options",
        title=say("a step"),
        root=True,
        seconds=0,
        conditions=(model.FileHolds.model_validate(holds),),
        actions=(model.WriteFile.model_validate(holds),),
    )
    return model.Plan(user="root", qemu=None, steps=(step,))


def test_the_review_says_what_is_there_and_will_be_lost(tmp_path: Path) -> None:
    path = tmp_path / "kvmwizard.conf"
    (missing,) = told_of_this_machine(plan_writing(path)).steps
    assert missing.lasting is None
    # No file of a test's is one that root writes, so whatever it holds cannot be written back.
    path.write_text("options kvm ignore_msrs=1\n", encoding="ascii")
    (found,) = told_of_this_machine(plan_writing(path)).steps
    assert found.lasting is not None
    assert str(path) in found.lasting.english
    path.write_bytes(b"\xff\xfe")
    (unread,) = told_of_this_machine(plan_writing(path)).steps
    assert unread.lasting == found.lasting


def test_one_change_past_restoring_does_not_make_root_refuse_all_of_the_undo() -> None:
    plan = plan_writing(Path(OPTIONS))
    hostile = written("options kvm ignore_msrs=1\n", 0o664)
    whole = make_undo_plan(plan, {"modules.options": (hostile,)}, run_id="a-run")
    content = model.canonical_json(whole)
    with pytest.raises(Exception, match="action"):
        checked_steps(content, model.plan_digest(whole))
    change, _ = restorable(hostile)
    assert change is not None
    assert json.loads(change)["previous_text"] is None
    undo = make_undo_plan(plan, {"modules.options": (change,)}, run_id="a-run")
    assert checked_steps(model.canonical_json(undo), model.plan_digest(undo))
    assert undo.steps[0].actions == (model.RemoveFile(path=OPTIONS),)
    assert parse_change(change) == FileWritten(path=OPTIONS, previous_text=None, previous_mode=None)
