"""Files gone bad in every way that a disk, an editor, another version or another user can make them."""

import contextlib
import io
import itertools
import json
import os
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as some

from kvmwizard import cli
from kvmwizard.wrapping import CONTROL_CHARACTERS

HUNDRED_MEGABYTES = 100 * 1000 * 1000
MORE_THAN_IS_READ = 18 * 1000 * 1000
"""Of any file; the rest is a hole, which takes whoever reads it just as much memory."""
NOBODYS = 61183
"""A user's number that has no account."""

ODD_VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.5,
    1e308,
    -1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    " ",
    "0",
    "\x00",
    "\x1b[2J\x1b]0;x\x07",
    "\u202egnp.exe",
    "{path.__class__}",
    "{count:>999999999}",
    "[b]bold[/b][@click=app.quit]x[/]",
    "../../../../etc/passwd",
    "-rf",
    "x" * 70000,
    "é中😀",
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"template": "{", "places": {"a": "b"}},
    {"kind": "file-holds"},
)


@dataclass(frozen=True)
class BadFile:
    """One content, and what was done to the good one."""

    name: str
    content: bytes


def every_truncation(good: bytes) -> Iterator[BadFile]:
    """The first bytes of the good content, none of them included."""
    for length in range(len(good)):
        yield BadFile(f"cut off after {length}", good[:length])


def every_flipped_bit(good: bytes) -> Iterator[BadFile]:
    """The good content with one bit another."""
    for position in range(len(good) * 8):
        content = bytearray(good)
        content[position // 8] ^= 1 << position % 8
        yield BadFile(f"bit {position} flipped", bytes(content))


def other_texts(good: bytes) -> Iterator[BadFile]:
    """What is no JSON of ours as a whole."""
    yield BadFile("a byte order mark", b"\xef\xbb\xbf" + good)
    for encoding in ("utf-16", "utf-32", "utf-16-be"):
        yield BadFile(encoding, good.decode().encode(encoding))
    yield BadFile("twice", good + good)
    yield BadFile("zeros behind", good + bytes(4096))
    yield BadFile("zeros alone", bytes(4096))
    yield BadFile("newlines alone", b"\n" * 4096)
    yield BadFile("invalid UTF-8", good.replace(b"e", b"\xe9"))
    yield BadFile("overlong UTF-8", good.replace(b"/", b"\xc0\xaf") + b"\xc0\x80")
    yield BadFile("single quotation marks", good.replace(b'"', b"'"))
    yield BadFile("carriage returns", good.replace(b"\n", b"\r"))
    yield BadFile("a comment", b"// yes\n" + good)
    yield BadFile("a comma too many", good.replace(b"}", b",}"))
    for open_sign, close_sign in ((b"[", b"]"), (b'{"a":', b"}")):
        for depth in (100, 200, 500, 1000, 10_000, 100_000):
            yield BadFile(f"{depth} deep, open", open_sign * depth)
            yield BadFile(f"{depth} deep, closed", open_sign * depth + b"1" + close_sign * depth)
    for number in (b"9" * 5000, b"-" + b"9" * 5000, b"1e999", b"-1e999", b"1e-999", b"NaN", b"Infinity"):
        yield BadFile(f"the number {number[:9].decode()}", number)
        yield BadFile(f"versions {number[:9].decode()}", b'{"schema_version": ' + number + b"}")


def changed_documents(good: Any, versions: Sequence[str]) -> Iterator[BadFile]:
    """The JSON value with each of its parts replaced, removed, renamed or exchanged for another."""
    places = list(_places(good))
    for place in places:
        for number, value in enumerate(ODD_VALUES):
            yield _bad(f"{_named(place)} is odd value {number}", _with(good, place, value))
        yield _bad(f"{_named(place)} is gone", _without(good, place))
        if place and isinstance(place[-1], str):
            renamed = _with(_without(good, place), (*place[:-1], place[-1] + "x"), _at(good, place))
            yield _bad(f"{_named(place)} is called otherwise", renamed)
            deep: Any = 1
            for _ in range(150):
                deep = {place[-1]: deep}
            yield _bad(f"{_named(place)} is deep", _with(good, place, deep))
    for one, other in itertools.pairwise(places):
        exchanged = _with(_with(good, one, _at(good, other)), other, _at(good, one))
        yield _bad(f"{_named(one)} and {_named(other)} are exchanged", exchanged)
    for name in versions:
        for version in (0, 1, 3, 4, 99, 2**70, -1, "2", 2.5, True, None):
            yield _bad(f"{name} {version}", {**good, name: version})


def near(good: Any) -> some.SearchStrategy[bytes]:
    """Contents that hypothesis makes of the good document: bytes, JSON, and the document changed."""
    places = list(_places(good))
    values = some.recursive(
        some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
        lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
        max_leaves=8,
    )
    changed = some.tuples(some.sampled_from(places), values).map(lambda pair: _with(good, *pair))
    twice = some.tuples(changed, some.sampled_from(places), values).map(lambda each: _with(*each))
    texts = some.one_of(changed, twice, values).map(_written)
    whole = _written(good)
    spliced = some.tuples(some.integers(0, len(whole)), some.integers(0, 8), some.binary(max_size=8)).map(
        lambda cut: whole[: cut[0]] + cut[2] + whole[cut[0] + cut[1] :]
    )
    return some.one_of(texts, spliced, some.binary(max_size=64))


def sample(cases: Iterator[BadFile], number: int, seed: int) -> list[BadFile]:
    """So many of the cases, chosen by the seed; all of them where there are no more."""
    found = list(cases)
    return found if len(found) <= number else random.Random(seed).sample(found, number)  # noqa: S311  -- no secret


Place = tuple[str | int, ...]


def _places(value: Any, above: Place = ()) -> Iterator[Place]:
    yield above
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in pairs:
        yield from _places(member, (*above, key))


def _at(value: Any, place: Place) -> Any:
    for key in place:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _with(value: Any, place: Place, new: Any) -> Any:
    if not place:
        return new
    key, *rest = place
    if isinstance(value, dict):
        return {**value, key: _with(value.get(key), tuple(rest), new)}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return [*value[:key], _with(value[key], tuple(rest), new), *value[key + 1 :]]
    return value


def _without(value: Any, place: Place) -> Any:
    if not place:
        return None
    above = _at(value, place[:-1])
    if isinstance(above, dict):
        return _with(value, place[:-1], {key: each for key, each in above.items() if key != place[-1]})
    if isinstance(above, list):
        return _with(value, place[:-1], [each for index, each in enumerate(above) if index != place[-1]])
    return value


def _named(place: Place) -> str:
    return ".".join(map(str, place)) or "all"


def _written(value: Any) -> bytes:
    return json.dumps(value).encode()


def _bad(name: str, value: Any) -> BadFile:
    return BadFile(name, _written(value))


# What else than a plain file of the user's own can stand in a file's place


def make_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def make_link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def make_endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def make_second_name(path: Path) -> None:
    os.link(path, path.with_name("second"))


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def make_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(path.parent):
        listening.bind(path.name)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_writable(path: Path) -> None:
    path.chmod(0o666)


def make_anothers(path: Path) -> None:
    os.chown(path, NOBODYS, NOBODYS)


def make_huge(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(HUNDRED_MEGABYTES)


def make_huge_and_deep(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"[" * MORE_THAN_IS_READ)
        file.truncate(HUNDRED_MEGABYTES)


def make_one_huge_line(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"event":"' + b"x" * MORE_THAN_IS_READ)
        file.truncate(HUNDRED_MEGABYTES)
        file.write(b'"}\n')


PLACES: dict[str, Callable[[Path], None]] = {
    "a symbolic link": make_link,
    "a link to nowhere": make_link_to_nowhere,
    "a link to itself": make_loop,
    "a link to what never ends": make_endless,
    "a hard link": make_second_name,
    "a FIFO": make_fifo,
    "a socket": make_socket,
    "a directory": make_directory,
    "writable by all": make_writable,
    "100 MB of nothing behind": make_huge,
    "100 MB of brackets": make_huge_and_deep,
    "a line of 100 MB": make_one_huge_line,
    **({"somebody else's": make_anothers} if os.geteuid() == 0 else {}),
}
"""What is done to the good file, by name."""


def identity(path: Path) -> tuple[int, ...]:
    """What stands there, which must not change; when it was read last may."""
    status = path.lstat()
    return (status.st_ino, status.st_mode, status.st_uid, status.st_nlink, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Ended:
    """What a command said, and its exit code."""

    code: int
    output: str
    complaints: str


def run_in_process(*words: str | Path) -> Ended:
    """The command line, as `kvmwizard WORDS` has it, without a process of its own.

    Nothing that it says may be a traceback, a fault of ours or what steers a terminal.
    """
    output, complaints = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(complaints):
        code = cli.main([str(word) for word in words])
    said = []
    for stream in (output, complaints):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        said.append(stream.buffer.getvalue().decode())
    ended = Ended(code, *said)
    assert "Traceback" not in ended.output + ended.complaints, ended.complaints
    assert "fault of its own" not in ended.complaints, (words, ended.complaints)
    assert code in {0, 1, 2, 3}
    assert all(is_safe(line) for line in (ended.output + ended.complaints).split("\n"))
    return ended


def is_safe(line: str) -> bool:
    """Whether a terminal shows the line, and does nothing else with it."""
    return CONTROL_CHARACTERS.search(line) is None
