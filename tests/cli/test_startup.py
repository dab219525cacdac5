"""What a start costs, by what is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kvmwizard
from kvmwizard import __version__

MODULES_AFTER = """
import json, os, sys
from kvmwizard.cli import main
told = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
code = main(sys.argv[1:])
os.write(told, json.dumps(sorted({name.partition(".")[0] for name in sys.modules})).encode())
"""


def modules_after(*words: str) -> set[str]:
    """The top-level names in sys.modules after the command, in a fresh interpreter."""
    process = subprocess.run(
        [sys.executable, "-c", MODULES_AFTER, *words], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(process.stdout))


def test_importing_the_command_line_imports_next_to_nothing() -> None:
    program = "import sys, kvmwizard.cli; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in process.stdout.split()}
    assert not loaded & {"textual", "screens", "rich", "pydantic", "qemu", "asyncio", "argparse"}


def test_the_version_is_told_before_anything_is_imported() -> None:
    assert not modules_after("--version") & {"textual", "pydantic", "argparse", "rich"}
    process = subprocess.run(
        [sys.executable, "-m", "kvmwizard", "--version"], capture_output=True, text=True, check=True
    )
    assert process.stdout == f"kvmwizard {__version__}\n"


@pytest.mark.parametrize("words", [("check", "--json"), ("check",), ("plan", "--json"), ()], ids=" ".join)
def test_commands_import_no_textual(words: tuple[str, ...]) -> None:
    assert not modules_after(*words) & {"textual", "screens", "asyncio", "qemu"}


def test_the_first_frame_waits_neither_for_pydantic_nor_for_the_engine() -> None:
    program = """
import sys
from kvmwizard.commands import entry, wizard
from screens import app, welcome
print(*sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(process.stdout.split())
    assert "textual.app" in loaded
    engine = ("host", "checks", "answers", "packages", "plan", "session", "run", "proof")
    assert not loaded & {"pydantic", *(f"kvmwizard.{part}" for part in engine)}


def test_a_command_runs_with_garbage_collection(tmp_path: Path) -> None:
    program = """
import gc, sys
from kvmwizard import cli
from kvmwizard.commands import status
collecting = []
status.run = lambda options: collecting.append(gc.isenabled()) or 0
cli.main(["status", "--state-dir", sys.argv[1]])
print(collecting)
"""
    process = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert process.stdout == "[True]\n"


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    # Alone, since an installed kvmwizard lies beside the packages that it needs.
    (tmp_path / "kvmwizard").symlink_to(Path(kvmwizard.__file__).parent)
    process = subprocess.run(
        [sys.executable, "-S", "-m", "kvmwizard", "check"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin"},
    )
    assert process.returncode == 1
    assert process.stderr.startswith("kvmwizard needs the Python package rich, which ")
    assert process.stderr.count("\n") == 1
