"""`kvmwizard apply --skip STEP`: what it means is said before, who decided it afterwards."""

import json
from pathlib import Path

import pytest

from kvmwizard.plan.model import FileAbsent, Plan, RunCommand, Step
from kvmwizard.run.launch import start_runner
from kvmwizard.run.model import RunStatus, StepLeftOut
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say
from tests.cli.command import kvmwizard
from tests.run.plans import SHELL
from tests.run.test_runner import wait_for_end


def step(folder: Path, name: str, script: str, *needs: str) -> Step:
    return Step(
        id=name,
        title=say("Do {step}", step=name),
        needs=needs,
        root=False,
        seconds=1,
        conditions=(FileAbsent(path=str(folder / name)),),
        actions=(RunCommand(argv=(SHELL, "-ec", script)),),
    )


@pytest.fixture
def failed(tmp_path: Path) -> tuple[RunStore, str]:
    """The session's run, whose step `first` failed; `second` needs it."""
    for name in ("first", "second"):
        (tmp_path / name).touch()
    steps = (step(tmp_path, "first", "exit 3"), step(tmp_path, "second", "exit 4", "first"))
    store = RunStore(tmp_path / ".local/state/kvmwizard")
    run_id = store.create(Plan(user="root", qemu=None, steps=steps))
    SessionStore(store.state_directory).save(Session(run_id=run_id, page="run"))
    start_runner(store, run_id)
    assert wait_for_end(store, run_id).status is RunStatus.FAILED
    return store, run_id


def test_status_tells_how_to_skip(failed: tuple[RunStore, str], tmp_path: Path) -> None:
    assert failed
    assert "kvmwizard apply --skip first" in " ".join(kvmwizard(tmp_path, "status").stdout.split())


def test_without_consent_it_says_what_it_means_and_does_nothing(
    failed: tuple[RunStore, str], tmp_path: Path
) -> None:
    store, run_id = failed
    before = store.events(run_id)
    result = kvmwizard(tmp_path, "apply", "--skip", "first")
    assert result.returncode == 2
    assert "Not done will be: Do first  [first]" in result.stdout
    assert "One step that needs it:\n  Do second  [second]" in result.stdout
    assert "run the same again with --yes" in result.stderr
    assert store.events(run_id) == before


def test_the_run_ends_without_it_and_says_so(failed: tuple[RunStore, str], tmp_path: Path) -> None:
    store, run_id = failed
    result = kvmwizard(tmp_path, "apply", "--skip", "first", "--yes", "--no-verify")
    assert result.returncode == 0, result.stderr
    (decision,) = [event for event in store.events(run_id) if isinstance(event, StepLeftOut)]
    assert f"- Do first  [first]\n  {decision.user} skipped it after it failed:" in result.stdout
    assert f"Run {run_id} is done, without 2 steps that were skipped." in result.stdout
    status = kvmwizard(tmp_path, "status")
    assert status.returncode == 0
    assert "Not done: it needs “Do first”, which" in status.stdout
    report = json.loads(kvmwizard(tmp_path, "status", "--json").stdout)["run"]
    assert [each["status"] for each in report["steps"]] == ["left-out", "left-out"]
    assert "Not done: it needs" in kvmwizard(tmp_path, "log", "second").stderr


@pytest.mark.parametrize(
    ("name", "said"), [("second", "did not fail"), ("third", "Its steps are: first, second")]
)
def test_what_cannot_be_skipped_is_refused(
    failed: tuple[RunStore, str], tmp_path: Path, name: str, said: str
) -> None:
    assert failed
    result = kvmwizard(tmp_path, "apply", "--skip", name, "--yes")
    assert result.returncode == 2
    assert said in result.stderr


def test_where_nothing_was_run_there_is_nothing_to_skip(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "apply", "--skip", "first", "--yes")
    assert result.returncode == 2
    assert "nothing to skip" in result.stderr
