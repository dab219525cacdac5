"""Small things that every part of the shell script is made of."""

import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

Lines = tuple[str, ...]

WIDTH = 72
"""Of a line before it is continued on the next; in the plan's text it stands under its step's title."""
INDENT = "    "
END_OF_FILE = "END_OF_FILE"


def line(*words: str) -> str:
    """A command, every word of which stays one word."""
    return shlex.join(words)


def quoted(word: str) -> str:
    """One word."""
    return shlex.quote(word)


def broken(*words: str) -> Lines:
    """A command on as many lines as it takes."""
    lines = [quoted(words[0])]
    for word in map(quoted, words[1:]):
        if len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{INDENT}{word}")
    return (*(f"{each} \\" for each in lines[:-1]), lines[-1])


def parent(path: str) -> str:
    """The folder in which it lies."""
    return str(PurePosixPath(path).parent)


def name(path: str) -> str:
    """What it is called in that folder."""
    return PurePosixPath(path).name


def indented(lines: Iterable[str]) -> Lines:
    """The lines, within `if` or `for`."""
    return tuple(f"{INDENT}{each}" for each in lines)


def here_document(command: str, text: Iterable[str]) -> Lines:
    """The command with these lines on its standard input, as they are."""
    content, delimiter = tuple(text), END_OF_FILE
    while delimiter in content:
        delimiter += "_"
    return (f"{command} <<'{delimiter}'", *content, delimiter)
