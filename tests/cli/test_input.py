"""Bad input to every command: a clear sentence, the right exit code, and nothing is lost."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.answers import AccessAnswer, Answers
from kvmwizard.commands.given_qemu import named_qemu
from kvmwizard.session import Session, SessionStore
from tests.cli.command import KVMWIZARD, environment, kvmwizard

COMMANDS_WITH_STATE = [["plan"], ["apply"], ["status"], ["log"], ["verify"], ["undo"], []]
WRONG_USE = 2


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["check", "--colour"],
        ["check", "extra"],
        ["plan", "--format", "yaml"],
        ["plan", "--json", "--format", "sh"],
        ["check", "--jso"],
        ["--state-dir"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_wrong_use(tmp_path: Path, words: list[str]) -> None:
    result = kvmwizard(tmp_path, *words)
    assert result.returncode == WRONG_USE
    assert result.stderr.startswith("usage: kvmwizard")


@pytest.mark.parametrize("command", ["", "check", "plan", "apply", "status", "log", "verify", "undo"])
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    result = kvmwizard(tmp_path, *command.split(), "--help")
    assert result.returncode == 0
    assert "--state-dir" in result.stdout


@pytest.mark.parametrize("command", ["check", "verify"])
def test_a_user_who_does_not_exist(tmp_path: Path, command: str) -> None:
    result = kvmwizard(tmp_path, command, "--user", "nobody2")
    assert result.returncode == WRONG_USE
    assert result.stderr.startswith("There is no user nobody2 on this machine.")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("/nope", "There is no program /nope."),
        ("./nope", "There is no program ./nope."),
        ("no-such-qemu", "There is no program no-such-qemu."),
        ("/etc", "/etc is a folder, no program."),
        ("/etc/passwd", "/etc/passwd is no program: it cannot be executed."),
        ("/etc/passwd/qemu", "There is no program /etc/passwd/qemu."),
        ("x" * 300, "cannot be used: File name too long."),
    ],
)
def test_a_qemu_that_is_no_program(tmp_path: Path, given: str, said: str) -> None:
    result = kvmwizard(tmp_path, "verify", "--qemu", given)
    assert (result.returncode, result.stdout) == (WRONG_USE, "")
    assert said in result.stderr
    assert "Give --qemu the path of a QEMU." in result.stderr


def test_a_qemu_is_found_like_any_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/bin")
    assert Path(named_qemu("true")).name == "true"
    assert named_qemu("./true") == str(Path.cwd() / "true")
    (tmp_path / "qemu").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    assert named_qemu("qemu") == str(tmp_path / "qemu")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_user_who_does_not_exist_in_an_answers_file(tmp_path: Path, command: str) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"access": {"user": "nobody2"}}))
    result = kvmwizard(tmp_path, command, "--answers", answers)
    assert result.returncode == WRONG_USE
    assert "access.user: There is no user nobody2 on this machine." in result.stderr
    assert result.stdout == ""


def test_unknown_keys_in_an_answers_file(tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"colour": "red", "access": {"user": "root", "colour": "red"}}))
    result = kvmwizard(tmp_path, "plan", "--answers", answers)
    assert result.returncode == WRONG_USE
    assert result.stderr.splitlines() == [
        f"The answers in {answers} cannot be used. Correct these, then try again:",
        "  access.colour is not known; known there are: user, now.",
        (
            "  colour is not known; known there are: "
            "welcome, sources, kernel, kernel_build, kernel_options, qemu, qemu_build, qemu_options, access."
        ),
    ]


def test_an_answers_file_that_is_not_there(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "apply", "--answers", tmp_path / "answers.json")
    assert result.returncode == WRONG_USE
    assert "cannot be read: No such file or directory." in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_keys_that_would_steer_the_terminal(tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"\x1b[2J": 1, "access": {"user": "\x1b[2J"}}))
    assert kvmwizard(tmp_path, "plan", "--answers", answers).returncode == WRONG_USE


@pytest.mark.parametrize("words", [["check"], ["plan"]], ids=" ".join)
def test_a_root_that_is_no_machine(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "absent", tmp_path / "file", tmp_path / "empty"):
        result = kvmwizard(tmp_path, *words, "--root", root)
        assert result.returncode == WRONG_USE
        assert str(root) in result.stderr
        assert result.stdout == ""


def test_apply_does_nothing_that_nobody_agreed_to(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "apply")
    assert result.returncode == WRONG_USE
    assert "Digest" in result.stdout
    assert "Nobody can be asked here" in result.stderr
    assert not (tmp_path / ".local/state/kvmwizard/runs").exists()


def test_nothing_was_run_yet(tmp_path: Path) -> None:
    assert kvmwizard(tmp_path, "status").stdout.startswith("Nothing has been run yet.")
    assert json.loads(kvmwizard(tmp_path, "status", "--json").stdout) == {"run": None}
    assert kvmwizard(tmp_path, "log").returncode == 1
    undo = kvmwizard(tmp_path, "undo")
    assert (undo.returncode, undo.stderr) == (0, "")
    assert undo.stdout.startswith("There is nothing to take back")
    assert kvmwizard(tmp_path, "apply", "--stop").stdout == "No run is under way.\n"


def test_a_run_that_does_not_exist(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "undo", "../../etc")
    assert result.returncode == WRONG_USE
    assert "There is no run ../../etc" in result.stderr


@pytest.mark.parametrize("words", [("undo", ""), ("report", ""), ("status", "--state-dir", "")])
def test_what_a_script_left_empty_does_not_mean_the_default(tmp_path: Path, words: Sequence[str]) -> None:
    result = kvmwizard(tmp_path, *words)
    assert (result.returncode, result.stdout) == (WRONG_USE, "")
    assert "it is empty" in result.stderr


def test_answers_are_not_for_the_run_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text("{}")
    result = kvmwizard(tmp_path, "apply", "--stop", "--answers", tmp_path / "answers.json")
    assert (result.returncode, result.stdout) == (WRONG_USE, "")
    assert "take no --answers" in result.stderr


def saved_state(home: Path) -> SessionStore:
    store = SessionStore(home / ".local/state/kvmwizard")
    store.save(Session(answers=Answers(access=AccessAnswer(user="root"))))
    return store


@pytest.mark.parametrize("words", COMMANDS_WITH_STATE, ids=lambda words: words[0] if words else "wizard")
def test_a_newer_session_is_refused_by_every_command(tmp_path: Path, words: list[str]) -> None:
    path = saved_state(tmp_path).path
    path.write_text('{"schema_version": 999}')
    result = kvmwizard(tmp_path, *words)
    assert result.returncode == WRONG_USE
    assert "was saved by a newer kvmwizard" in result.stderr
    assert path.read_text() == '{"schema_version": 999}'


def test_an_unreadable_session_is_set_aside_and_said(tmp_path: Path) -> None:
    path = saved_state(tmp_path).path
    path.write_text("{")
    result = kvmwizard(tmp_path, "plan")
    assert result.returncode == 0
    (aside,) = path.parent.glob("session.json.unreadable-*")
    assert str(aside) in result.stderr
    assert aside.read_text() == "{"


def test_defaults_are_not_carried_out_for_answers_that_cannot_be_read(tmp_path: Path) -> None:
    path = saved_state(tmp_path).path
    # Should it not be refused, it must fail: no test changes the machine it runs on.
    path.write_text('{"schema_version": 1, "answers": {"access": {"user": "nobody2"}}')
    result = kvmwizard(tmp_path, "apply", "--yes")
    assert result.returncode == WRONG_USE
    assert "Nothing was changed" in result.stderr
    assert result.stdout == ""
    assert not (path.parent / "runs").exists()


def test_a_linked_session_is_refused(tmp_path: Path) -> None:
    path = saved_state(tmp_path).path
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    result = kvmwizard(tmp_path, "plan")
    assert result.returncode == WRONG_USE
    assert "symbolic link" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to someone else")
def test_someone_elses_session_is_refused(tmp_path: Path) -> None:
    path = saved_state(tmp_path).path
    os.chown(path, 65534, -1)
    result = kvmwizard(tmp_path, "plan")
    assert result.returncode == WRONG_USE
    assert "belongs to the user with id 65534" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to someone else")
def test_root_does_not_keep_state_where_another_could_change_it(tmp_path: Path) -> None:
    home = tmp_path / "alice"
    home.mkdir()
    os.chown(home, 65534, -1)
    answers = tmp_path / "answers.json"
    # Should it not be refused, it must fail: no test changes the machine it runs on.
    answers.write_text('{"access": {"user": "nobody2"}}')
    result = kvmwizard(tmp_path, "apply", "--answers", answers, "--state-dir", home / "state")
    assert result.returncode == WRONG_USE
    assert "root must not trust" in result.stderr


def test_a_session_in_use_is_told_with_its_holder(tmp_path: Path) -> None:
    store = saved_state(tmp_path)
    assert store.lock()
    result = kvmwizard(tmp_path, "apply")
    assert result.returncode == 1
    assert f"Another kvmwizard (process {os.getpid()}) is at work" in result.stderr
    assert kvmwizard(tmp_path, "status").returncode == 0, "looking needs no lock"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
@pytest.mark.parametrize(
    ("options", "expected"),
    [("size=4k", "No space left on device"), ("ro", "is not writable")],
    ids=["full", "read-only"],
)
def test_a_state_directory_that_takes_nothing(tmp_path: Path, options: str, expected: str) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    answers = tmp_path / "answers.json"
    # Should it not be refused, it must fail: no test changes the machine it runs on.
    answers.write_text('{"access": {"user": "nobody2"}}')
    script = (
        'mount -t tmpfs -o "$1,mode=700" none "$2"; shift 2; printf x >> "$1/fill" 2>/dev/null; shift; "$@"'
    )
    process = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", script, "sh", options, state, state),
            *(*KVMWIZARD, "apply", "--answers", answers, "--state-dir", state),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=60,
        check=False,
    )
    assert process.returncode in {1, WRONG_USE}
    assert expected in process.stderr
    assert "Traceback" not in process.stderr
    assert "fault" not in process.stderr


def test_a_home_that_does_not_exist_does_not_keep_anybody_from_looking(tmp_path: Path) -> None:
    for words in (["check"], ["plan"], ["status"], []):
        assert kvmwizard(tmp_path / "absent", *words).returncode in {0, 1}
    assert not (tmp_path / "absent").exists()


def test_a_wrong_argument_is_named_without_what_steers_a_terminal(tmp_path: Path) -> None:
    ended = kvmwizard(tmp_path, "status", "frob\x1b[2J\u202e")
    assert ended.returncode == 2
    assert "frob?[2J?" in ended.stderr


def test_a_pipe_that_stays_silent_is_not_waited_for_without_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ended = kvmwizard(tmp_path, "plan", "--answers", pipe)
    assert ended.returncode == 2
    assert "Nothing came through" in ended.stderr


def test_a_name_that_is_too_long_is_said_and_no_fault(tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    qemu = {"source": "local", "path": "/" + "x" * 300}
    answers.write_text(json.dumps({"qemu": {"qemu": qemu}}))
    ended = kvmwizard(tmp_path, "plan", "--answers", answers)
    assert ended.returncode == 2
    assert "There is no program /xxx" in ended.stderr


@pytest.mark.parametrize(
    "words", [["status", "--state-dir=--"], ["plan", "--answers=--"], ["check", "--root=--"]]
)
def test_an_option_whose_value_argparse_loses_is_named(tmp_path: Path, words: list[str]) -> None:
    ended = kvmwizard(tmp_path, *words)
    assert ended.returncode == 2
    assert words[1].removesuffix("=--") in ended.stderr
