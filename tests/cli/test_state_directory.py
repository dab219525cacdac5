"""A command that a sentence tells to run is about the same runs as the sentence: it names their directory."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kvmwizard import cli
from kvmwizard.answers import AccessAnswer, Answers
from kvmwizard.commands import carry_out, check, log, verify
from kvmwizard.commands.exit_code import CommandRefused
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import State
from kvmwizard.paths import directory_option, state_directory
from kvmwizard.plan.model import Plan
from kvmwizard.run.launch import start_runner, stop_run
from kvmwizard.run.model import RunEnded, RunState, RunStopped
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.run.undo import undo_plan
from kvmwizard.session import Session, SessionStore
from tests.cli.command import kvmwizard
from tests.cli.test_runs import BEGUN, CHANGE, PLAN, add_run, done
from tests.run.plans import removing_step
from tests.run.test_runner import wait_for_end

ENDED_WELL = (*BEGUN, done("second", CHANGE), RunEnded(time=5.0, good=True))


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A directory that was asked for."""
    return state_directory(tmp_path / "asked for")


@pytest.fixture
def option(asked: Path) -> str:
    return f" --state-dir {shlex.quote(str(asked))}"


def move_runs(home: Path, asked: Path) -> RunStore:
    """Runs are made in the user's own place."""
    (home / ".local/state/kvmwizard").rename(asked)
    return RunStore(asked)


def said_by(home: Path, asked: Path, *words: str) -> str:
    """All that it says, in one line."""
    result = kvmwizard(home, *words, "--state-dir", asked)
    return " ".join((result.stdout + result.stderr).split())


def test_the_user_s_own_directory_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert directory_option(state_directory()) == ""
    assert directory_option(Path("/mnt/a b")) == " --state-dir '/mnt/a b'"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("status",), "kvmwizard plan"),
        (("log",), "kvmwizard plan"),
        (("apply", "--skip", "first"), "kvmwizard status"),
        ((), "kvmwizard apply --yes"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else None,
)
def test_where_nothing_was_run(
    tmp_path: Path, asked: Path, option: str, words: tuple[str, ...], command: str
) -> None:
    assert command + option in said_by(tmp_path, asked, *words)


def test_answers_that_cannot_be_read(tmp_path: Path, asked: Path, option: str) -> None:
    store = SessionStore(asked)
    store.save(Session())
    # Should it not be refused, it must fail: no test changes the machine it runs on.
    store.path.write_text('{"schema_version": 1, "answers": {"access": {"user": "nobody2"}}')
    assert f"kvmwizard plan{option}" in said_by(tmp_path, asked, "apply", "--yes")


def test_answers_in_use(tmp_path: Path, asked: Path, option: str) -> None:
    store = SessionStore(asked)
    store.save(Session(answers=Answers(access=AccessAnswer(user="nobody2"))))
    assert store.lock()
    assert f"the wizard (kvmwizard{option} alone)" in said_by(tmp_path, asked, "apply")


def test_an_undo_that_is_refused(tmp_path: Path, asked: Path, option: str) -> None:
    _, first = add_run(tmp_path, ENDED_WELL)
    _, second = add_run(tmp_path, ENDED_WELL)
    _, undo = add_run(tmp_path, (), PLAN.model_copy(update={"undoes": second}))
    store = move_runs(tmp_path, asked)
    with pytest.raises(RunRefused) as refused:
        undo_plan(store, first)
    assert str(refused.value.words).endswith(f"kvmwizard undo {second}{option}")
    with pytest.raises(RunRefused) as refused:
        undo_plan(store, undo)
    assert str(refused.value.words).endswith(f"kvmwizard apply{option}")


@pytest.fixture
def under_way(tmp_path: Path, asked: Path) -> Iterator[tuple[RunStore, str]]:
    """The session's run of a harmless step, which takes its time."""
    file = tmp_path / "file"
    file.touch()
    store = RunStore(asked)
    run_id = store.create(Plan(user="root", qemu=None, steps=(removing_step(file, script="sleep 60"),)))
    SessionStore(asked).save(Session(run_id=run_id, page="run"))
    start_runner(store, run_id)
    yield store, run_id
    stop_run(store, run_id)
    wait_for_end(store, run_id)


def test_a_run_that_is_under_way(
    tmp_path: Path, asked: Path, option: str, under_way: tuple[RunStore, str]
) -> None:
    store, run_id = under_way
    with pytest.raises(RunRefused) as refused:
        store.create(PLAN)
    said = str(refused.value.words)
    assert f"with kvmwizard log --follow{option}," in said
    assert f"with kvmwizard apply --stop{option};" in said
    assert f"(kvmwizard apply --stop{option})" in said_by(tmp_path, asked, "undo", run_id)
    answers = tmp_path / "answers.json"
    # Should it not be refused, it must fail: no test changes the machine it runs on.
    answers.write_text('{"access": {"user": "nobody2"}}')
    given = said_by(tmp_path, asked, "apply", "--answers", str(answers))
    assert f"See it with kvmwizard status{option}, and" in given


@pytest.fixture
def waiting(tmp_path: Path, asked: Path) -> tuple[State, RunState]:
    """The session's run, which was stopped."""
    _, run_id = add_run(tmp_path, (*BEGUN, RunStopped(time=5.0)))
    move_runs(tmp_path, asked)
    saved = State.of(Options(state_dir=asked))
    return saved, saved.runs.read(run_id)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_who_leaves_a_run(
    waiting: tuple[State, RunState],
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    saved, run = waiting
    with monkeypatch.context() as patches:
        patches.setattr(saved.runs, "read", interrupt)
        with pytest.raises(CommandRefused) as refused:
            carry_out._watched(saved, run.run_id, Options(), known={})
    assert str(refused.value.words).endswith(f"kvmwizard status{option}")
    monkeypatch.setattr(log._Following, "_follow", interrupt)
    log._Following(saved.runs, run.run_id, None, Options()).to_the_end()
    assert capfd.readouterr().err.endswith(f"kvmwizard status{option}\n")


@pytest.mark.parametrize(
    ("good", "asks", "command"), [(False, True, "undo {run}"), (True, False, "apply"), (True, True, "apply")]
)
def test_a_proof_after_a_restart(
    waiting: tuple[State, RunState],
    monkeypatch: pytest.MonkeyPatch,
    *,
    good: bool,
    asks: bool,
    command: str,
) -> None:
    saved, run = waiting
    said: list[str] = []
    monkeypatch.setattr(verify, "somebody_can_answer", lambda _: asks)
    monkeypatch.setattr(verify, "agreed", lambda _: False)
    monkeypatch.setattr(verify, "_tell", lambda words: said.append(str(words)))
    verify._go_on(saved, run, Options(), SimpleNamespace(good=good))  # type: ignore[arg-type]
    (sentence,) = said
    option = directory_option(saved.directory)
    assert sentence.endswith(f": kvmwizard {command.format(run=run.run_id)}{option}")


def test_a_fault_of_ours(
    asked: Path, option: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "run", lambda _: 1 / 0)
    assert cli.main(["check", "--state-dir", str(asked)]) == 1
    assert f"see it with: kvmwizard status{option}\n" in capfd.readouterr().err


def test_a_fault_of_ours_in_a_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(check, "run", lambda _: 1 / 0)
    assert cli.main(["check", "--state-dir", "state"]) == 1
    complaints = capfd.readouterr().err
    assert "see it with: kvmwizard status\n" in complaints
    assert "Traceback" not in complaints
