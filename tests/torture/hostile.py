"""Texts that mean something to a shell, a program, a terminal or a path, and where answers take texts."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from kvmwizard.answers import Answers

TOKEN = "PWNED"  # noqa: S105  -- what stands in every text that would do or make something
MARK = f"/tmp/{TOKEN}"
"""What every command among the texts would make."""

COMMANDS = (
    f"$(touch {MARK})",
    f"`touch {MARK}`",
    f"; touch {MARK} ;",
    f"&& touch {MARK}",
    f"|| touch {MARK}",
    f"| touch {MARK}",
    f"& touch {MARK} &",
    f"\ntouch {MARK}\n",
    f"\rtouch {MARK}\r",
    f"' ; touch {MARK} ; '",
    f'" ; touch {MARK} ; "',
    f"\\'; touch {MARK} #",
    f"'$(touch {MARK})'",
    f'"$(touch {MARK})"',
    f"${{IFS}}touch${{IFS}}{MARK}",
    f"$((`touch {MARK}`))",
    f"<(touch {MARK})",
    f"> {MARK}",
    f">> {MARK}",
    f"$(shell touch {MARK})",
    f"$(shell${{IFS}}touch${{IFS}}{MARK})",
    f"!touch {MARK}",
    f"{{touch,{MARK}}}",
    f"() {{ :; }}; touch {MARK}",
    f"END_OF_FILE\ntouch {MARK}",
    f"__import__('os').system('touch {MARK}')",
    f"{{{{''.__class__}}}} {TOKEN}",
    f"{{path.__class__}} {TOKEN}",
    f"%s%n {TOKEN}",
    f"@{MARK}",
    f"ext::sh -c touch% {MARK}",
    f"file://$(touch {MARK})",
    f"https://example.org/$(touch${{IFS}}{MARK})",
    f"https://-oProxyCommand=touch${{IFS}}{MARK}/x",
    f"ssh://-oProxyCommand=touch${{IFS}}{MARK}/x",
    f"ssh://a;touch${{IFS}}{MARK}/x",
    f"git://`touch${{IFS}}{MARK}`/x",
    f"localhost:{MARK}",
    f"/tmp/$(touch {MARK})",
    f"/tmp/`touch {MARK}`",
    f"/tmp/a;touch {MARK}",
    f"/tmp/a b {TOKEN}",
    f"/tmp/a:b:{TOKEN}",
    f"/tmp/'{TOKEN}",
    f'/tmp/"{TOKEN}',
    f"/tmp/\\{TOKEN}",
    f"/tmp/*{TOKEN}*",
    f"/tmp/$(shell${{IFS}}touch${{IFS}}{MARK})",
    f"/tmp/%s {TOKEN}",
)
OPTIONS = tuple(
    option.replace("X", TOKEN)
    for option in (
        *("-X", "--X", "--X=1", "-oX=1", "--option=X", "-", "--", "---", "-c X", "--help X"),
        *("--upload-pack=X", "--config=X", "-o APT::Update::Pre-Invoke::=X", "--to-command=X", "-exec X"),
        *("--use-compress-program=X", "--checkpoint-action=exec=X", "-Ox", "--root=/X", "-I/X", "@X"),
        *("+X", "/-X", "/tmp/-X", "/--X", "x -X", "x --X"),
    )
)
PLACES = (
    *("..", "../..", f"../../{TOKEN}", f"/../../{TOKEN}", f"/tmp/../etc/{TOKEN}", f"/./{TOKEN}", "/", "//"),
    *(
        f"//{TOKEN}",
        f"/proc/self/fd/0/{TOKEN}",
        "/dev/zero",
        "/dev/tty",
        "/dev/fd/0",
        "/etc/shadow",
        "~",
        "~root",
    ),
    "/" + f"{TOKEN}/" * 700,
    "/" + "x" * 300,
    "/" + "x" * 5000,
    "/" + "中" * 200,
)
SIGNS = (
    *(
        "",
        " ",
        "\t",
        "\n",
        "\x00",
        f"/tmp/{TOKEN}\x00.png",
        "\x07",
        "\x1b[2J",
        "\x1b]0;x\x07",
        "\x1b]52;c;eA==\x07",
    ),
    *(
        "\x9b2J",
        "\x9d0;x\x9c",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "/tmp/\x1b[31mred",
        "/tmp/\x9b31mred",
        "/tmp/\x7f",
    ),
    *(
        "\u202egnp.exe",
        "/tmp/\u202egnp.exe",
        "\u2066x\u2069",
        "/tmp/\u2067x",
        "\u200f",
        "\ufeff",
        "\u200b",
        "/a\u0301",
    ),
    *("\ud800", "\udfff", "/tmp/\udc80", "\U0010ffff", "é" * 40, "中文", "😀", "ﬁ", "ⅷ", "\u0130", "ſ", "K"),  # noqa: RUF001  -- meant
    *(
        "[b]bold[/b]",
        "[@click=app.quit]quit[/]",
        "[link=file:///etc/passwd]x[/link]",
        "[/]",
        "[bold red]",
        "\\[b]",
    ),
    *("true", "null", "0", "-1", "1e999", "NaN", "9" * 5000, "0x10", "１２"),  # noqa: RUF001  -- meant
    *(
        "x" * 100,
        "x" * 1000,
        "x" * 70_000,
        "a\nb",
        "a b",
        "a,b",
        "a=b",
        "a:b",
        "a#b",
        "a%00b",
        "a\\b",
        "%2e%2e%2f",
    ),
)


TELLING = ("\x1b[2J", f"$(touch {MARK})", f"--{TOKEN}=1", f"/tmp/$(touch {MARK})", f"/tmp/a b {TOKEN}")
"""Of each kind one that is always among them, however few are tried; many fields take nothing but a path."""


def payloads(number: int, seed: int) -> list[str]:
    """So many different texts: those above, then pairs of them."""
    known = list(dict.fromkeys((*COMMANDS, *OPTIONS, *PLACES, *SIGNS)))
    chance = random.Random(seed)  # noqa: S311  -- no secret
    if number <= len(known):
        others = [text for text in known if text not in TELLING]
        return [*TELLING[:number], *chance.sample(others, max(number - len(TELLING), 0))]
    found = dict.fromkeys(known)
    while len(found) < number:
        found[f"{chance.choice(known)[:200]}{chance.choice(known)[:200]}"] = None
    return list(found)


@dataclass(frozen=True)
class TextField:
    """One place of the answers that takes a text."""

    name: str
    document: Callable[[str], dict[str, Any]]
    """An answers file with the text there, all else being right."""


RIGHT: dict[str, object] = {
    "package": "linux-image-amd64",
    "version": "6.12.104",
    "tag": "v6.12.104",
    "path": "/usr/bin/qemu-system-x86_64",
    "user": "root",
}
"""What required fields hold beside the one that is tried."""


def text_fields() -> list[TextField]:
    """Every text that the answers' models can hold, by the models themselves: a new one is among them."""
    return [TextField(name, build) for name, build in _fields(Answers)]


Build = Callable[[str], Any]


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Build]]:
    for name, field in model.model_fields.items():
        for path, build in _texts(field.annotation):
            full = f"{name}{path}"
            yield full, _in_model(model, name, build)


def _in_model(model: type[BaseModel], name: str, build: Build) -> Build:
    others = {
        key: RIGHT[key] for key, field in model.model_fields.items() if field.is_required() and key != name
    }
    source = model.model_fields.get("source")
    if source is not None:
        others["source"] = source.default
    return lambda text: {**others, name: build(text)}


def _in_list(build: Build) -> Build:
    return lambda text: [build(text)]


def _texts(kind: Any) -> Iterator[tuple[str, Build]]:
    """Each way to put a text into a value of this kind."""
    if kind is str:
        yield "", lambda text: text
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for path, build in _fields(kind):
            yield f"({kind.__name__}).{path}", build
    elif get_origin(kind) is Annotated:
        yield from _texts(get_args(kind)[0])
    elif get_origin(kind) is tuple:
        for path, build in _texts(get_args(kind)[0]):
            yield f"[]{path}", _in_list(build)
    elif get_origin(kind) is Literal:
        if all(isinstance(value, str) for value in get_args(kind)):
            yield "", lambda text: text
    else:
        for member in get_args(kind):
            yield from _texts(member)
