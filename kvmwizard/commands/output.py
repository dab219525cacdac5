"""Printing: plain text that every terminal, pipe and encoding can take."""

import codecs
import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import IO, Any

from kvmwizard.words import Words
from kvmwizard.wrapping import printable, signs_in_ascii, wrapped

ASCII_SUBSTITUTES = {"●": "*", "○": "o", "→": ">", "…": "...", "─": "-", "━": "=", "—": "-"}
"""What stands for a sign, beside those of `wrapping`, where the encoding has none."""

PLAIN_WIDTH = 80
"""Terminal cells to a line where nobody says how many there are."""


class OutputLostError(Exception):
    """Standard output takes no more: its reader is gone, or its disk is full."""


def prepare_streams() -> None:
    """Let nothing that is printed fail for its encoding, or for a stream that was closed."""
    codecs.register_error("kvmwizard", _substitute)
    # Python takes the C locale for UTF-8 (PEP 540); who sets LC_ALL=C wants ASCII.
    ascii_only = os.environ.get("LC_ALL") in {"C", "POSIX"} and not (
        os.environ.get("PYTHONUTF8") or os.environ.get("PYTHONIOENCODING")
    )
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  -- open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="ascii" if ascii_only else None, errors="kvmwizard")


def show(text: str | Words = "") -> None:
    """Print laid-out text, or a sentence, to standard output. Raises OutputLostError."""
    _write(_sentence(str(text), sys.stdout) if isinstance(text, Words) else text.rstrip("\n"))


def show_json(value: Any) -> None:
    """Print one JSON value on one line; ASCII alone, whatever the locale. Raises OutputLostError."""
    _write(json.dumps(as_json(value)))


def show_bytes(content: bytes) -> None:
    """Print bytes as they are. Raises OutputLostError."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OutputLostError from error


def complain(text: str | Words) -> None:
    """Print laid-out text, or a sentence, to standard error, if that takes it; a closed terminal does not."""
    with contextlib.suppress(OSError):
        sys.stderr.write(
            (_sentence(str(text), sys.stderr) if isinstance(text, Words) else printable(text)) + "\n"
        )
        sys.stderr.flush()


def give_up_output() -> None:
    """Keep Python from failing again, at its end, on what standard output did not take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_json(value: Any) -> Any:
    """The value with all words in English, ready for `json.dumps`."""
    if isinstance(value, Words):
        return value.english
    fields = getattr(type(value), "model_fields", None)
    if isinstance(fields, dict):
        # A pydantic model; the wizard's first frame must not wait for pydantic, which would tell so.
        return {name: as_json(getattr(value, name)) for name in fields}
    if isinstance(value, dict):
        return {key: as_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(member) for member in value]
    return value


def width() -> int:
    """The terminal cells in a line of standard output."""
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns


def colour() -> bool:
    """Whether standard output may be given colours (see no-color.org for NO_COLOR)."""
    return understands_escapes(sys.stdout) and not os.environ.get("NO_COLOR")


def understands_escapes(stream: IO[str]) -> bool:
    """Whether the stream is a terminal that can do more than print lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb"}


def _sentence(text: str, stream: IO[str]) -> str:
    """The text on one line, or in lines of whole words where the stream is a terminal."""
    if not stream.isatty():
        return printable(text)
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = PLAIN_WIDTH
    return "\n".join(wrapped(text, columns or PLAIN_WIDTH))


def _write(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise OutputLostError from error


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """The codecs error handler: signs that the encoding lacks become ASCII ones."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_in_ascii(character) for character in characters), error.end


def _in_ascii(character: str) -> str:
    sign = ASCII_SUBSTITUTES.get(character, signs_in_ascii(character))
    return sign if sign.isascii() else "?"
