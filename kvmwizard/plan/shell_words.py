"""Small things that every part of the shell script is made of."""

import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

Lines = tuple[str, ...]


def line(*words: str) -> str:
    """A command, every word of which stays one word."""
    return shlex.join(words)


def quoted(word: str) -> str:
    """One word."""
    return shlex.quote(word)


def parent(path: str) -> str:
    """The folder in which it lies."""
    return str(PurePosixPath(path).parent)


def indented(lines: Iterable[str]) -> Lines:
    """The lines, within `if` or `for`."""
    return tuple(f"    {each}" for each in lines)


def here_document(command: str, text: Iterable[str]) -> Lines:
    """The command with these lines on its standard input, as they are."""
    content, delimiter = tuple(text), "END_OF_FILE"
    while delimiter in content:
        delimiter += "_"
    return (f"{command} <<'{delimiter}'", *content, delimiter)
