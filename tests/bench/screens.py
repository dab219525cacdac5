"""What the wizard costs the terminal and the memory."""

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.bench.commands import KVMWIZARD, environment
from tests.bench.measure import Result, Target, compare, interleaved
from tests.bench.minimal_app import LANDMARK
from tests.bench.terminal import MeasuredTerminal

MINIMAL = (sys.executable, str(Path(__file__).with_name("minimal_app.py")))
WELCOME = ("kvmwizard", "Welcome", "1 of ", "Enter Next")
UP, DOWN, ENTER = b"\x1b[A", b"\x1b[B", b"\r"
SHOWN_SECONDS = 30.0
IDLE_SECONDS = 5.0
KEY_PRESSES = 9


def _wizard(folder: str) -> MeasuredTerminal:
    """The wizard on a fresh state directory."""
    state = tempfile.mkdtemp(dir=folder)
    return MeasuredTerminal([*KVMWIZARD, "--state-dir", state], environment())


def _first_frame(terminal: MeasuredTerminal, landmarks: Sequence[str]) -> float:
    with terminal:
        return terminal.until_shown(landmarks, SHOWN_SECONDS) * 1000


def first_frame_result(folder: str) -> list[Result]:
    """The time to the first whole frame, against a minimal application's."""
    samples = interleaved(
        lambda: _first_frame(_wizard(folder), WELCOME),
        lambda: _first_frame(MeasuredTerminal(MINIMAL, environment()), [LANDMARK]),
    )
    result = compare("first-frame", "the wizard's first frame", "ms", samples, "a minimal Textual app")
    return [replace(result, target=Target(1.35, ""), target_is_on_ratio=True)]


def terminal_results(folder: str) -> list[Result]:
    """Bytes written to the terminal, and memory, in one walk over six pages."""
    with _wizard(folder) as terminal:
        terminal.until_shown(WELCOME, SHOWN_SECONDS)
        shown_after = terminal.until_quiet()
        first_frame = terminal.total
        _go_on(terminal, "2 of ", "/dev/kvm")
        hardware_moves = _moves(terminal)
        later_moves: list[int] = []
        for number in range(3, 7):  # which pages these are depends on what is installed
            _go_on(terminal, f"{number} of ")
            later_moves += _moves(terminal)
        idle = terminal.during(IDLE_SECONDS) / IDLE_SECONDS
        resident = terminal.resident_bytes() / 2**20
    at_most_600 = Target(600, "B")
    return [
        _single(
            "first-frame-bytes", "bytes until Welcome stands still", first_frame, "B", Target(16384, "B")
        ),
        _single("first-frame-late-bytes", "of these after the first whole frame", shown_after, "B", None),
        _many("hardware-move-bytes", "one line down in Hardware's list", hardware_moves, at_most_600),
        _many("later-move-bytes", "one line down in the next four pages' lists", later_moves, at_most_600),
        _single("idle-bytes", "idle for 5 s", idle, "B/s", Target(0, "B/s")),
        _single("resident", "resident after six pages", resident, "MiB", Target(64, "MiB")),
    ]


def _go_on(terminal: MeasuredTerminal, *landmarks: str) -> None:
    """Enter, and all that it makes the next page write."""
    os.write(terminal.descriptor, ENTER)
    terminal.until_shown(landmarks, SHOWN_SECONDS)
    terminal.until_quiet()


def _moves(terminal: MeasuredTerminal) -> list[int]:
    """Bytes of each press of Down that changed the screen; at the end of the list nothing moves.

    The cursor goes back to where it was, since Enter may choose what it stands on.
    """
    written = []
    for _ in range(KEY_PRESSES):
        before = terminal.text
        count = terminal.press(DOWN)
        if terminal.text != before:
            written.append(count)
    for _ in written:
        terminal.press(UP)
    return written


def _single(id: str, title: str, value: float, unit: str, target: Target | None) -> Result:  # noqa: A002  -- as Result's
    return Result(id, title, value, unit, (value,), target)


def _many(id: str, title: str, values: Sequence[float], target: Target) -> Result:  # noqa: A002  -- as Result's
    return Result(id, title, median(values), target.unit, tuple(values), target)
