"""Who agrees to a plan, and where an answers file is agreement enough; nothing is begun here."""

import errno
import io
import os
import sys
import termios
from pathlib import Path

import pexpect
import pytest

from kvmwizard.commands import consent
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.parser import Options
from kvmwizard.plan.model import Plan
from tests.cli.command import KVMWIZARD, environment, kvmwizard

PLAN = Plan(user="root", qemu=None, steps=())
STREAMS = ("stdin", "stdout", "stderr")


class Stream(io.StringIO):
    """A standard stream that says whether it is a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def options(*, json: bool = False, yes: bool = False, answers: bool = False) -> Options:
    return Options(json=json, yes=yes, answers=Path("answers.json") if answers else None)


class Place:
    """Where a command is run from: what its streams are, and whether its session has a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, terminals: str, session: str) -> None:
        self.questions: list[str] = []
        for name in STREAMS:
            monkeypatch.setattr(sys, name, Stream(terminal=name in terminals.split()))
        monkeypatch.setattr(consent, "TERMINAL_OF_THE_SESSION", session)
        monkeypatch.setattr(consent, "agreed", self._agreed)

    def _agreed(self, question: str) -> bool:
        self.questions.append(question)
        return True


NO_TERMINAL = "/nonexistent/tty"
A_TERMINAL = os.devnull
"""Which can be opened: no more is asked of a terminal here."""


@pytest.mark.parametrize(
    ("terminals", "json"),
    [
        ("stdin stdout stderr", True),
        ("stdin stderr", False),
        ("stdin stderr", True),
        ("stdin", False),
        ("stdout stderr", False),
        ("stderr", False),
        ("stderr", True),
    ],
)
@pytest.mark.parametrize("answers", [True, False])
def test_who_is_at_a_terminal_and_cannot_be_asked_has_not_agreed(
    monkeypatch: pytest.MonkeyPatch, terminals: str, json: bool, answers: bool
) -> None:
    place = Place(monkeypatch, terminals, NO_TERMINAL)
    with pytest.raises(CommandRefused, match="then run the same again with --yes") as refused:
        consent.agree_to(PLAN, {}, options(json=json, answers=answers))
    assert refused.value.exit_code is ExitCode.WRONG_USE
    assert not place.questions
    consent.agree_to(PLAN, {}, options(json=json, answers=answers, yes=True))


def test_nor_has_who_sent_every_stream_elsewhere_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    Place(monkeypatch, "", A_TERMINAL)
    with pytest.raises(CommandRefused, match="Nobody can be asked here"):
        consent.agree_to(PLAN, {}, options(answers=True))


@pytest.mark.parametrize("json", [True, False])
def test_where_nobody_is_an_answers_file_is_agreement(monkeypatch: pytest.MonkeyPatch, json: bool) -> None:
    place = Place(monkeypatch, "", NO_TERMINAL)
    consent.agree_to(PLAN, {}, options(json=json, answers=True))
    assert not place.questions
    with pytest.raises(CommandRefused, match="Nobody can be asked here"):
        consent.agree_to(PLAN, {}, options(json=json))


@pytest.mark.parametrize("answers", [True, False])
def test_a_person_who_can_be_asked_is_asked(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    place = Place(monkeypatch, "stdin stdout", A_TERMINAL)
    consent.agree_to(PLAN, {}, options(answers=answers))
    assert place.questions == ["Carry this plan out? [y/N] "]


def test_the_terminal_of_a_session_is_found_where_no_stream_leads_to_it(tmp_path: Path) -> None:
    program = (
        "from kvmwizard.commands.consent import somebody_may_be_there as there;"
        f"open({str(tmp_path / 'said')!r}, 'w').write(str(there()))"
    )
    script = 'exec "$0" -c "$1" </dev/null >/dev/null 2>&1'
    for wrapper, said in (((), "True"), (("setsid", "--wait"), "False")):
        argv = [*wrapper, "/bin/sh", "-c", script, KVMWIZARD[0], program]
        pexpect.spawn(argv[0], argv[1:], env=environment(tmp_path)).wait()
        assert (tmp_path / "said").read_text() == said


def test_the_question_is_seen_where_complaints_go_to_a_file(tmp_path: Path) -> None:
    program = "from kvmwizard.commands.consent import agreed; print('agreed:', agreed('Really? [y/N] '))"
    argv = ["-c", 'exec "$0" -c "$1" 2>"$2"', KVMWIZARD[0], program, str(tmp_path / "complaints")]
    child = pexpect.spawn("/bin/sh", argv, env=environment(tmp_path), encoding="utf-8", timeout=30)
    child.expect_exact("Really? [y/N] ")
    child.sendline("y")
    child.expect_exact("agreed: True")
    child.expect(pexpect.EOF)
    child.close()


def test_a_terminal_that_is_gone_has_not_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(termios, "tcflush", lambda *_: None)
    monkeypatch.setattr("builtins.input", lost)
    assert not consent.agreed("Really? ")


def test_help_says_what_beginning_needs_with_json(tmp_path: Path) -> None:
    said = {
        command: " ".join(kvmwizard(tmp_path, command, "--help").stdout.split())
        for command in ("apply", "undo")
    }
    assert "so beginning needs --yes or, without a terminal, --answers" in said["apply"]
    assert said["undo"].endswith("asks nothing, so beginning needs --yes")
