"""Reads Kconfig files just far enough to say what kept a symbol from being set.

The language is that of Documentation/kbuild/kconfig-language.rst. What is not
read: macros, whose conditions count as met, and `visible if`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENTRY = re.compile(r"(?:menu)?config\s+(\w+)$")
SOURCE = re.compile(r'[or]*source\s+"?([^"]+?)"?$')
PROMPT = re.compile(
    r'(bool|tristate|prompt|string|int|hex)\s+(?:"(?:[^"\\]|\\.)*"|\'[^\']*\')\s*(?:if\s+(.+))?$'
)
TYPE = re.compile(r"(?:def_)?(bool|tristate)\b")
SELECT = re.compile(r"select\s+(\w+)\s*(?:if\s+(.+))?$")
DEPENDS = re.compile(r"depends\s+on\s+(.+)$")
IF = re.compile(r"if\s+(.+)$")
HELP = re.compile(r"(?:---)?help(?:---)?$")
COMMENT = re.compile(r"""^((?:[^"'#]|"(?:[^"\\]|\\.)*"|'[^']*')*)#.*$""")
MOST_DEPTH = 40
"""Of files that source each other; real trees need six."""


@dataclass
class Definition:
    """One place that defines a symbol."""

    conditions: list[str]
    """All of these must hold."""
    tristate: bool = False
    prompt: bool = False
    in_choice: bool = False


@dataclass(frozen=True)
class Selector:
    """A symbol that switches another one on."""

    name: str
    condition: str | None


@dataclass
class Kconfig:
    """What the Kconfig files of a tree say."""

    definitions: dict[str, list[Definition]] = field(default_factory=dict)
    selectors: dict[str, list[Selector]] = field(default_factory=dict)


def read_kconfig(tree: Path, architecture: str) -> Kconfig:
    """All Kconfig files that the top one sources. What cannot be read is left out.

    Args:
        tree: the kernel's source.
        architecture: its folder below arch/.
    """
    reader = _Reader(tree, architecture)
    reader.read("Kconfig", 0)
    return reader.kconfig


@dataclass
class _Block:
    kind: str
    conditions: list[str]


class _Reader:
    def __init__(self, tree: Path, architecture: str) -> None:
        self.kconfig = Kconfig()
        self._tree = tree
        self._architecture = architecture
        self._blocks: list[_Block] = []
        self._entry: tuple[str, Definition] | None = None

    def read(self, name: str, depth: int) -> None:
        path = self._tree / name
        if depth > MOST_DEPTH or not path.is_file():
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        for line in _logical_lines(text):
            found = SOURCE.match(line)
            if found is None:
                self._take(line)
            else:
                self._entry = None
                self.read(self._place(found[1], name), depth + 1)

    def _place(self, named: str, within: str) -> str:
        for variable in ("$(SRCARCH)", "$SRCARCH", "$(ARCH)", "$ARCH"):
            named = named.replace(variable, self._architecture)
        inner = Path(within).parent / named
        return named if (self._tree / named).is_file() else str(inner)

    def _take(self, line: str) -> None:
        word = line.split(maxsplit=1)[0]
        if found := ENTRY.match(line):
            self._begin(found[1])
        elif found := IF.match(line):
            self._open("if", [found[1]])
        elif word in {"menu", "choice"}:
            self._open(word, [])
        elif word in {"endif", "endmenu", "endchoice"}:
            self._entry = None
            if self._blocks:
                self._blocks.pop()
        elif word in {"comment", "mainmenu"}:
            self._open(word, [])
            self._blocks.pop()
        elif self._entry is not None:
            self._attribute(*self._entry, line)
        elif self._blocks and (found := DEPENDS.match(line)):
            self._blocks[-1].conditions.append(found[1])

    def _open(self, kind: str, conditions: list[str]) -> None:
        self._entry = None
        self._blocks.append(_Block(kind, conditions))

    def _begin(self, name: str) -> None:
        definition = Definition(
            conditions=[condition for block in self._blocks for condition in block.conditions],
            in_choice=any(block.kind == "choice" for block in self._blocks),
        )
        self.kconfig.definitions.setdefault(name, []).append(definition)
        self._entry = (name, definition)

    def _attribute(self, name: str, definition: Definition, line: str) -> None:
        if found := TYPE.match(line):
            definition.tristate = found[1] == "tristate"
        if found := PROMPT.match(line):
            definition.prompt = True
            if found[2]:
                definition.conditions.append(found[2])
        elif found := DEPENDS.match(line):
            definition.conditions.append(found[1])
        elif found := SELECT.match(line):
            self.kconfig.selectors.setdefault(found[1], []).append(Selector(name, found[2]))


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, help texts and indentation; continued ones joined."""
    help_indent: int | None = None
    in_help = False
    for raw in text.replace("\\\n", " ").split("\n"):
        line = raw.expandtabs(8).rstrip()
        content = line.strip()
        if not content:
            continue
        indent = len(line) - len(content)
        if in_help:
            help_indent = indent if help_indent is None else help_indent
            if indent >= help_indent > 0:
                continue
            in_help = False
        if HELP.fullmatch(content):
            in_help, help_indent = True, None
            continue
        found = COMMENT.match(content)
        content = found[1].strip() if found else content
        if content:
            yield content


# Conditions: && binds stronger than ||, and ! than both; n < m < y.

TOKEN = re.compile(r"""\s*(\|\||&&|!=|<=|>=|[!=<>()]|"(?:[^"\\]|\\.)*"|'[^']*'|[\w.-]+)""")
MACRO = re.compile(r"\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
LEVELS = {"n": 0, "m": 1, "y": 2}
NAMES = "nmy"


def level_of(expression: str, values: Mapping[str, str]) -> str:
    """What the expression comes to: n, m or y; y for one that is not understood.

    Args:
        expression: as in `depends on`.
        values: the symbols that are set, strings with their quotation marks.
    """
    tokens = TOKEN.findall(MACRO.sub("y", expression))
    try:
        level, rest = _either(tokens, values)
    except (IndexError, ValueError):
        return "y"
    return "y" if rest else NAMES[level]


def parts_of(expression: str) -> list[str]:
    """What an expression joins by && at its top, without the parentheses around a part."""
    parts, depth, begin = [], 0, 0
    if _has(expression, "||"):
        return [expression.strip()]
    for index, character in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and expression.startswith("&&", index):
            parts.append(expression[begin:index])
            begin = index + 2
    parts.append(expression[begin:])
    return [part.strip() for part in parts]


def _has(expression: str, operator: str) -> bool:
    """Whether the operator stands outside of all parentheses."""
    depth = 0
    for index, character in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and expression.startswith(operator, index):
            return True
    return False


_Parsed = tuple[int, list[str]]


def _either(tokens: list[str], values: Mapping[str, str]) -> _Parsed:
    level, rest = _both(tokens, values)
    while rest and rest[0] == "||":
        other, rest = _both(rest[1:], values)
        level = max(level, other)
    return level, rest


def _both(tokens: list[str], values: Mapping[str, str]) -> _Parsed:
    level, rest = _single(tokens, values)
    while rest and rest[0] == "&&":
        other, rest = _single(rest[1:], values)
        level = min(level, other)
    return level, rest


def _single(tokens: list[str], values: Mapping[str, str]) -> _Parsed:
    first, *rest = tokens
    if first == "!":
        level, rest = _single(rest, values)
        return 2 - level, rest
    if first == "(":
        level, rest = _either(rest, values)
        if not rest or rest[0] != ")":
            raise ValueError(first)
        return level, rest[1:]
    if rest and rest[0] in {"=", "!=", "<", ">", "<=", ">="}:
        return _compared(first, rest[0], rest[1], values), rest[2:]
    return LEVELS.get(_value(first, values), 0), rest


def _compared(left: str, operator: str, right: str, values: Mapping[str, str]) -> int:
    one, other = _value(left, values), _value(right, values)
    if operator in {"=", "!="}:
        return 2 if (one == other) is (operator == "=") else 0
    a, b = int(one, 0), int(other, 0)
    return 2 if {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator] else 0


def _value(word: str, values: Mapping[str, str]) -> str:
    if word in LEVELS:
        return word
    if word[0] in "\"'":
        return word[1:-1]
    is_number = re.fullmatch(r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+)", word) is not None
    return word if is_number else values.get(word, "n").strip('"')
