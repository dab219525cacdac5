"""`kvmwizard report`: shown first, written only if that is asked for."""

import json
import tarfile
from pathlib import Path

from tests.cli.command import kvmwizard


def test_without_a_terminal_it_only_shows(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "report", "--output", tmp_path / "report.tar.gz")
    assert result.returncode == 0, result.stderr
    assert "facts.json" in result.stdout
    assert "run/ is missing: Nothing has been run yet." in result.stdout
    assert "Nothing was written. To write it, run the same again with --yes." in result.stdout
    assert not list(tmp_path.glob("*.tar.gz"))


def test_with_yes_it_is_written_where_it_says(tmp_path: Path) -> None:
    path = tmp_path / "report.tar.gz"
    result = kvmwizard(tmp_path, "report", "--yes", "--output", path, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["path"] == str(path)
    with tarfile.open(path) as archive:
        assert [entry.name for entry in archive] == [f"report/{each['name']}" for each in told["files"]]
    again = kvmwizard(tmp_path, "report", "--yes", "--output", path)
    assert again.returncode == 1
    assert "there already" in again.stderr


def test_a_run_that_there_is_not_is_refused(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "report", "20260101-000000-00000000")
    assert result.returncode == 2
    assert "There is no run" in result.stderr


def test_a_folder_gets_a_report_of_its_own_name(tmp_path: Path) -> None:
    result = kvmwizard(tmp_path, "report", "--yes", "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    (path,) = tmp_path.glob("kvmwizard-report-*.tar.gz")
    assert f"Written to {path}," in " ".join(result.stdout.split())
