"""The small parts: signs, columns, logs, times, and what is left behind by a mistake."""

from pathlib import Path

import pytest
from rich.segment import Segment
from textual.strip import Strip

from screens.app import write_problem_report
from screens.log_tail import OPENING_BYTES, LogTail, plain_text
from screens.measures import about, clock, size
from screens.run_watch import progress_bar
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


def test_a_log_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "step.log"
    tail = LogTail(path)
    assert tail.lines() == ()
    path.write_text("one\ntw", encoding="ascii")
    assert tail.lines() == ("one", "tw")
    with path.open("a", encoding="ascii") as file:
        file.write("o\nthree\n")
    assert tail.lines() == ("one", "two", "three")


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "step.log"
    path.write_text("x\n" * OPENING_BYTES + "last\n", encoding="ascii")
    assert LogTail(path).lines()[-1] == "last"


def test_a_log_steers_no_terminal() -> None:
    assert plain_text("10%\r20%\r30%\n\x1b[31mred\x1b[0m\x07") == "30%\nred"


def test_times_and_sizes_as_people_read_them() -> None:
    assert [clock(seconds) for seconds in (0, 31.9, 64, 3723)] == ["0:00", "0:31", "1:04", "1:02:03"]
    assert [about(seconds) for seconds in (0.2, 15, 90)] == ["1 s", "15 s", "2 min"]
    assert [size(count) for count in (0, 150 << 20, 3 << 29)] == ["1 MiB", "150 MiB", "1.5 GiB"]


def test_a_bar_stays_within_its_cells() -> None:
    for fraction in (-1.0, 0.0, 0.5, 1.0, 7.0):
        assert len(progress_bar(fraction, UNICODE_SIGNS)) == 21


def test_a_mistake_of_ours_leaves_its_details_and_nobody_else_reads_them(tmp_path: Path) -> None:
    path = write_problem_report(tmp_path / "state", RuntimeError("what happened"))
    assert path is not None
    assert "what happened" in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_no_details_can_be_kept_there_is_no_second_mistake() -> None:
    assert write_problem_report(Path("/proc/nowhere"), RuntimeError()) is None
