"""What is printed can be taken by every encoding, pipe and terminal."""

import json
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.cli.command import ESCAPE, KVMWIZARD, environment, kvmwizard

CHECKED = {0, 1}
WRONG_USE = 2


def in_shell(home: Path, line: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell line in which "$@" is kvmwizard."""
    return subprocess.run(
        ["/bin/sh", "-c", line, "sh", *KVMWIZARD],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(home, **variables),
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}],
    ids=lambda variables: " ".join(variables.values()),
)
def test_an_ascii_locale_gets_ascii(tmp_path: Path, variables: dict[str, str]) -> None:
    for words in (["check"], []):
        result = kvmwizard(tmp_path, *words, env=variables)
        assert result.returncode in CHECKED
        assert result.stdout.isascii()
        assert "/dev/kvm" in result.stdout
        assert "\n+ pass" in result.stdout


def test_latin_1_loses_signs_and_nothing_else(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "check", env={"PYTHONIOENCODING": "latin-1"})
    assert result.returncode in CHECKED
    assert "✔" not in result.stdout
    assert "\n+ pass" in result.stdout


def test_a_utf8_locale_gets_signs(tmp_path: Path) -> None:
    assert "✔" in kvmwizard(tmp_path, "check").stdout


def test_json_is_ascii_and_english_everywhere(tmp_path: Path) -> None:
    outputs = [
        kvmwizard(tmp_path, "check", "--json", env=variables).stdout
        for variables in ({}, {"LC_ALL": "C"}, {"LANGUAGE": "de"})
    ]
    assert all(output.isascii() and output.count("\n") == 1 for output in outputs)
    first, *others = ([check["title"] for check in json.loads(output)["checks"]] for output in outputs)
    assert all(other == first for other in others)


def test_a_reader_who_has_enough_hears_nothing(tmp_path: Path) -> None:
    result = in_shell(tmp_path, '"$@" check | head -n 1; "$@" plan | :; "$@" --help | :')
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this machine")
@pytest.mark.parametrize("words", ["check", "--help", "--version"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_said(tmp_path: Path, words: str, unbuffered: str) -> None:
    result = in_shell(tmp_path, f'PYTHONUNBUFFERED={unbuffered} "$@" {words} > /dev/full')
    assert result.stderr == "The output could not be written: No space left on device.\n"
    assert result.returncode == 1


def test_closed_output_is_no_fault(tmp_path: Path) -> None:
    for words in ("check", "--help", "--version"):
        assert in_shell(tmp_path, f'"$@" {words} >&-').stderr == ""
    assert in_shell(tmp_path, '"$@" check --user nobody2 2>&-; echo $?').stdout == "2\n"


def on_terminal(home: Path, *words: str, **variables: str) -> tuple[str, int | None]:
    """What a command shows on a terminal, and its exit code."""
    child = pexpect.spawn(
        KVMWIZARD[0],
        [*KVMWIZARD[1:], *words],
        env=environment(home, **variables),
        encoding="utf-8",
        dimensions=(24, 80),
        timeout=60,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.before is not None
    return child.before, child.exitstatus


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    assert ESCAPE in on_terminal(tmp_path, "check")[0]


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}], ids=str)
def test_who_wants_no_colours_gets_none(tmp_path: Path, variables: dict[str, str]) -> None:
    shown, code = on_terminal(tmp_path, "check", **variables)
    assert ESCAPE not in shown
    assert "/dev/kvm" in shown
    assert code in CHECKED


def test_a_dumb_terminal_gets_findings_as_text(tmp_path: Path) -> None:
    shown, code = on_terminal(tmp_path, TERM="dumb")
    assert ESCAPE not in shown
    assert "/dev/kvm" in shown
    said = " ".join(shown.split())
    assert "TERM=dumb says that this one cannot. Carry this plan out with kvmwizard apply, and" in said
    assert code in CHECKED


def test_sentences_break_between_words(tmp_path: Path) -> None:
    shown, code = on_terminal(tmp_path, "plan", "--answers", str(tmp_path / "absent"), COLUMNS="20")
    assert code == WRONG_USE
    lines = shown.splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)
    assert "cannot be read: No such file or directory." in " ".join(lines)


def test_lines_keep_to_the_terminals_width(tmp_path: Path) -> None:
    shown = kvmwizard(tmp_path, "check", env={"COLUMNS": "50"}).stdout
    assert max(len(line) for line in shown.splitlines()) <= 50


def test_without_a_terminal_the_findings_are_text(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path)
    assert result.returncode in CHECKED
    assert "/dev/kvm" in result.stdout
    assert "Good to know" in result.stdout or "What will be done" in result.stdout
    assert "kvmwizard apply --yes" in result.stdout
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == [], "looking must not write anything"
