"""The worker that downloads stays small, and turns every trouble into a sentence."""

import subprocess
import sys
from pathlib import Path

from tests.fetch.workers import LIBRARIES, Bench

HEAVY = ("pydantic", "textual", "multiprocessing", "asyncio")


def test_it_imports_nothing_heavy() -> None:
    code = f"import sys, kvmwizard.fetch.worker\nprint([name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=LIBRARIES
    ).stdout
    assert said == "[]\n"


def test_what_the_system_refuses_is_said_in_a_sentence(builder: Bench, tmp_path: Path) -> None:
    done = builder.work(
        {
            "kind": "download-source",
            "urls": [],
            "path": "/proc/nowhere/linux-6.1.9.tar.xz",
            "proofs": [],
            "unverified": True,
        }
    )
    assert done.returncode == 1
    assert "/proc/nowhere cannot be used: No such file or directory" in done.refused
    archive = tmp_path / "no such archive.tar.xz"
    assert f"{archive} cannot be used" in builder.unpack(archive).refused
