"""Runs kvmwizard as a person or a script would: as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

KVMWIZARD = (sys.executable, "-m", "kvmwizard")
ESCAPE = "\x1b"


def environment(home: Path, **variables: str) -> dict[str, str]:
    """A login's environment with this home, and nothing of the tests' own but where Python finds things."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm-256color", **variables}


def kvmwizard(
    home: Path, *words: str | Path, env: Mapping[str, str] | None = None, seconds: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Run it to its end without a terminal; every test's output is checked for what no person may see."""
    process = subprocess.run(
        [*KVMWIZARD, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(home, **(env or {})),
        timeout=seconds,
        check=False,
    )
    output = process.stdout.decode(errors="surrogateescape")
    complaints = process.stderr.decode(errors="surrogateescape")
    assert "Traceback" not in output + complaints
    assert "fault of its own" not in complaints, complaints
    assert ESCAPE not in output + complaints
    assert process.returncode in {0, 1, 2, 3}
    return subprocess.CompletedProcess(process.args, process.returncode, output, complaints)
