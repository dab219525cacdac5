from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kvmwizard.wrapping import padded, printable, signs_in_ascii, wrapped


def test_words_stay_whole_where_they_fit() -> None:
    assert wrapped("a guest really ran here", 11) == ["a guest", "really ran", "here"]


def test_a_word_too_long_is_cut() -> None:
    assert wrapped("/usr/bin/qemu-system-x86_64 runs", 10) == ["/usr/bin/q", "emu-system", "-x86_64", "runs"]


def test_no_text_is_one_empty_line() -> None:
    assert wrapped("", 10) == [""]


def test_chinese_breaks_between_characters_and_keeps_its_commas() -> None:
    assert wrapped("虚拟化可以用，好。", 6) == ["虚拟化", "可以", "用，", "好。"]  # noqa: RUF001  -- Chinese commas


@given(st.text(), st.integers(min_value=2, max_value=90))
def test_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(printable(text).split())


@given(st.text())
def test_what_is_printable_has_no_control_characters(text: str) -> None:
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in printable(text))


@given(st.text(), st.integers(min_value=0, max_value=90))
def test_padding_gives_exactly_the_width(text: str, width: int) -> None:
    assert cell_len(padded(printable(text), width)) == width


def test_signs_become_ascii_cell_for_cell() -> None:
    assert signs_in_ascii("✔ ✖ – “a”") == '+ x - "a"'  # noqa: RUF001  -- the signs meant
