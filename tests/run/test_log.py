import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kvmwizard.run.log import TAIL_BYTES, LogFollower, as_shown, tail


def test_a_follower_gives_each_whole_line_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    follower = LogFollower(path)
    assert follower.read() == ()
    with path.open("ab", buffering=0) as file:
        file.write(b"one\ntw")
        assert follower.read() == ("one",)
        assert follower.read() == ()
        file.write(b"o\nthree\n")
        assert follower.read() == ("two", "three")


def test_a_line_under_way_is_seen_before_it_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    follower = LogFollower(path, at_end=True)
    assert (follower.read(), follower.unfinished) == ((), "")
    path.write_text("one\ntw", encoding="ascii")
    assert (follower.read(), follower.unfinished) == (("one",), "tw")
    with path.open("a", encoding="ascii") as file:
        file.write("o\nthree\n")
    assert (follower.read(), follower.unfinished) == (("two", "three"), "")


def test_a_log_steers_no_terminal() -> None:
    assert as_shown(b"10%\r20%\r30%") == "30%"
    assert as_shown(b"\x1b[31mred\x1b[0m\x07") == "red"


def test_a_tail_is_the_last_lines_however_long_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    assert path.stat().st_size > TAIL_BYTES
    assert tail(path, 2) == ("line 99998", "line 99999")
    assert all(line.startswith("line ") for line in tail(path, 100_000))


def test_a_last_line_without_an_end_belongs_to_the_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"done\n 50% \r 60%")
    assert tail(path, 5) == ("done", " 60%")


def test_nothing_in_a_log_can_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\x1b[31mred\x1b[0m\ttab\xff\n")
    (line,) = tail(path, 1)
    assert line.isprintable()
    assert "red" in line


def test_a_log_that_was_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old old old\n")
    follower = LogFollower(path)
    follower.read()
    path.write_bytes(b"new\n")
    assert follower.read() == ("new",)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_plain_file_is_an_empty_log_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "log"
    make(path)
    assert tail(path, 5) == ()
