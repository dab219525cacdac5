import errno
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.job import REFUSED, Job, Work, run_job
from kvmwizard.refusal import Refusal
from kvmwizard.words import say


def run(folder: Path, work: Work) -> tuple[int, list[dict[str, Any]]]:
    """A job of one kind; its exit code, and what it told."""
    progress = folder / "progress"
    argv = ["--progress", str(progress), json.dumps({"kind": "one"})]
    before = os.umask(0o022)
    try:
        code = run_job(argv, {"one": work})
    finally:
        os.umask(before)
    return code, [json.loads(line) for line in progress.read_text().splitlines()]


def test_work_that_is_done_ends_with_0(tmp_path: Path) -> None:
    def work(job: Job) -> None:
        job.progress.tell(say("Doing {kind}", kind=job.action["kind"]), 1, 2, "steps")

    code, told = run(tmp_path, work)
    assert code == 0
    assert (told[0]["words"]["template"], told[0]["done"], told[0]["total"]) == ("Doing {kind}", 1, 2)


def test_a_refusal_is_the_last_word_and_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_job: Job) -> None:
        raise Refusal(say("It cannot be."), "never")

    code, told = run(tmp_path, work)
    assert code == REFUSED
    assert told[-1]["refused"]["template"] == "It cannot be."
    assert told[-1]["code"] == "never"
    assert capsys.readouterr().out == "It cannot be.\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full."),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "{path} cannot be used: {error}."),
        (OSError(errno.EMFILE, "Too many open files"), "The system refused: {detail}."),
        (subprocess.TimeoutExpired(("configure", "--help"), 120.0), "{program} gave no answer for"),
        (KeyError("meson-info"), "kvmwizard met a mistake of its own in this step: {detail}."),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "kvmwizard met a mistake of its own"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_whatever_goes_wrong_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    def work(_job: Job) -> None:
        raise error

    code, told = run(tmp_path, work)
    assert code == REFUSED
    assert told[-1]["refused"]["template"].startswith(words)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out
    # Of mistakes of ours the log tells where they are.
    assert ("Traceback" in captured.err) is words.startswith("kvmwizard met")
