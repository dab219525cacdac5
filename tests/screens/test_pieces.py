"""The small parts: signs, columns, logs, times, and what is left behind by a mistake."""

from pathlib import Path

import pytest
from rich.segment import Segment
from textual.strip import Strip

from kvmwizard.commands.fault import keep_details
from screens.run_watch import clock, progress_bar
from screens.terminal import ASCII_SIGNS, UNICODE_SIGNS, over_ssh, terminal_signs
from screens.widgets.entries import Entry, Sign
from screens.widgets.entry_list import Columns
from screens.widgets.painted import changed_width, fitted


@pytest.mark.parametrize(
    ("term", "codeset", "unicode"),
    [
        ("xterm-256color", "UTF-8", True),
        ("xterm-256color", "utf8", True),
        ("xterm-256color", "ANSI_X3.4-1968", False),
        ("linux", "UTF-8", False),
    ],
)
def test_signs_follow_the_terminal(term: str, codeset: str, unicode: bool) -> None:
    assert terminal_signs({"TERM": term}, codeset) is (UNICODE_SIGNS if unicode else ASCII_SIGNS)


def test_ascii_signs_are_ascii() -> None:
    assert all(value.isascii() for value in vars(ASCII_SIGNS).values())


def test_ssh_is_noticed() -> None:
    assert over_ssh({"SSH_TTY": "/dev/pts/0"})
    assert not over_ssh({"TERM": "xterm"})


def test_every_sign_has_a_text_on_every_terminal() -> None:
    for sign in Sign:
        assert (sign.text(UNICODE_SIGNS) == "") == (sign is Sign.NONE)


def test_texts_are_fitted_by_cells_and_steer_no_terminal() -> None:
    assert fitted("处理器", 8, "…") == "处理器  "
    assert fitted("处理器", 5, "…") == "处理…"
    assert fitted("a\x1b[2Jb", 7, "…") == "a?[2Jb "


def test_only_what_differs_is_sent() -> None:
    def row(marker: str) -> Strip:
        return Strip([Segment(marker), Segment("title"), Segment(" the same rest")])

    assert changed_width(row(" "), row(" ")) == 0
    assert changed_width(row(" "), row(">")) == 1


def test_columns_leave_out_what_matters_least() -> None:
    rows = (Entry("one", Sign.PASSED, "A title", "a long detail about it", "12:34"),)
    wide, narrow, tiny = (Columns(rows, width, UNICODE_SIGNS) for width in (60, 34, 12))
    assert wide.title == 7
    assert wide.detail > 20
    assert wide.aside == 5
    assert narrow.detail >= 12
    assert tiny.detail == 0
    assert tiny.aside == 0


def test_a_whole_line_widens_no_column() -> None:
    rows = (Entry("one", Sign.NONE, "short", "detail"), Entry("two", Sign.NONE, "x" * 200, whole=True))
    assert Columns(rows, 80, UNICODE_SIGNS).title == 5


def test_times_as_people_read_them() -> None:
    assert [clock(seconds) for seconds in (0, 31.9, 64, 3723)] == ["0:00", "0:31", "1:04", "1:02:03"]


def test_a_bar_stays_within_its_cells() -> None:
    for fraction in (-1.0, 0.0, 0.5, 1.0, 7.0):
        assert len(progress_bar(fraction, UNICODE_SIGNS)) == 21


def test_a_mistake_of_ours_leaves_its_details_and_nobody_else_reads_them(tmp_path: Path) -> None:
    keep_details(tmp_path / "state", RuntimeError("what happened"))
    (path,) = (tmp_path / "state").iterdir()
    assert "what happened" in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_no_details_can_be_kept_there_is_no_second_mistake() -> None:
    assert "could not be kept" in keep_details(Path("/proc/nowhere"), RuntimeError("what happened")).english
