"""A fault of ours: a plain sentence, and the details in a file."""

import stat
from pathlib import Path
from types import ModuleType

import pytest

from kvmwizard import cli
from kvmwizard.commands import check
from kvmwizard.commands.parser import Options


def failing(error: BaseException) -> object:
    def run(_options: Options) -> int:
        raise error

    return run


def patched(monkeypatch: pytest.MonkeyPatch, module: ModuleType, error: BaseException) -> None:
    monkeypatch.setattr(module, "run", failing(error))


def test_the_details_go_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    patched(monkeypatch, check, ZeroDivisionError("one by zero"))
    assert cli.main(["check", "--state-dir", str(tmp_path / "state")]) == 1
    (report,) = (tmp_path / "state").glob("fault-*.txt")
    complaints = capfd.readouterr().err
    assert str(report) in complaints
    assert "Traceback" not in complaints
    assert "ZeroDivisionError: one by zero" in report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_without_a_directory_the_last_line_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    patched(monkeypatch, check, ZeroDivisionError("one by zero"))
    assert cli.main(["check", "--state-dir", str(tmp_path / "file" / "state")]) == 1
    complaints = capfd.readouterr().err
    assert "ZeroDivisionError: one by zero" in complaints
    assert "Traceback" not in complaints


def test_an_interruption_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    patched(monkeypatch, check, KeyboardInterrupt())
    assert cli.main(["check", "--state-dir", str(tmp_path / "state")]) == 1
    assert capfd.readouterr().err == "Interrupted.\n"
    assert list(tmp_path.iterdir()) == []
