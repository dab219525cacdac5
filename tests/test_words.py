import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import printable
from typing import TypeGuard

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from pydantic import TypeAdapter
from rich.cells import cell_len

import screens
from kvmwizard import words
from kvmwizard.commands.parser import build_parser
from kvmwizard.resources import asset_path
from kvmwizard.words import PLACE, Words, say, say_many
from tests.words import KEYWORDS, TEMPLATE, extracted, template_text

NOT_TRANSLATED = (
    "kvmwizard check versions plan apply status log verify undo report json text sh frob "
    "--frob --help --version --state-dir --user --root --json --format --answers --follow --raw "
    "--kernel-mirror --kernel-git --kernel-key --qemu-mirror --qemu-git --qemu-key"
)
"""What a person types is the same in every language."""


def mirrored(message: Message) -> str | tuple[str, ...]:
    """A translation that is easy to recognise: every sentence in guillemets."""
    if isinstance(message.id, str):
        return f"«{message.id}»"
    return tuple(f"«{form}»" for form in message.id)


@pytest.fixture
def mirror_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalogue `xx` that puts every sentence in guillemets."""
    catalogue = Catalog(locale="en")
    for message in extracted():
        if message.id:
            catalogue.add(message.id, mirrored(message))
    folder = tmp_path / "locale" / "xx" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "kvmwizard.mo").open("wb") as file:
        write_mo(file, catalogue)
    monkeypatch.setenv("LANGUAGE", "xx")
    monkeypatch.setattr(words, "asset_path", lambda name: tmp_path / name)
    words.reader_translations.cache_clear()
    yield
    words.reader_translations.cache_clear()


def test_the_template_for_translators_holds_every_sentence() -> None:
    assert asset_path(TEMPLATE).read_text() == template_text(extracted()), "run: make words"


@pytest.mark.usefixtures("mirror_locale")
def test_a_sentence_is_translated_when_shown_and_english_for_programs() -> None:
    sentence = next(message.id for message in extracted() if isinstance(message.id, str) and message.id)
    assert str(Words(template=sentence)).startswith("«")
    assert Words(template=sentence).english == sentence


@pytest.mark.usefixtures("mirror_locale")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["log", "--help"],
        ["frob"],
        ["--frob"],
        ["check", "--user"],
        ["plan", "--json", "--format", "sh"],
    ],
    ids=" ".join,
)
def test_the_command_lines_help_and_complaints_are_translated_whole(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(arguments)
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    english, found = shown, 1
    while found:
        english, found = re.subn(r"«[^«»]*»", "", english)
    for word in (name for name in NOT_TRANSLATED.split(" ") if name):
        english = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", "", english)
    assert re.findall(r"[A-Za-z]{2,}", english) == [], shown


@pytest.mark.usefixtures("mirror_locale")
def test_help_is_laid_out_in_cells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        words.Words, "__str__", lambda said: "虚拟机" * (2 if said.template.isupper() else 30)
    )
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    _usage, explanations = capsys.readouterr().out.split("\n\n", 1)
    explained = [
        line for line in explanations.splitlines() if line.startswith("    ") and " " in line.strip()
    ]
    assert any("check" in line for line in explained)
    assert all(cell_len(line) <= 60 for line in explained)
    assert {len(line) - len(line.lstrip(printable)) for line in explained} == {24}


def test_a_sentence_survives_json() -> None:
    words_model = TypeAdapter(Words)
    sentence = say("{path} is missing", path="/dev/{kvm}")
    assert words_model.validate_json(words_model.dump_json(sentence)).english == "/dev/{kvm} is missing"


def test_words_within_a_sentence_survive_json() -> None:
    words_model = TypeAdapter(Words)
    nested = say("{first}, and more", first=say_many("{count} step", "{count} steps", 2))
    assert words_model.validate_json(words_model.dump_json(nested)) == nested
    assert nested.english == "2 steps, and more"


@pytest.mark.usefixtures("mirror_locale")
def test_words_within_a_sentence_are_translated_with_it() -> None:
    inner = say("{module} is built into the kernel", module="kvm")
    sentence = say("Already so: {evidence}", evidence=inner)
    assert str(sentence) == "«Already so: «kvm is built into the kernel»»"
    assert sentence.english == "Already so: kvm is built into the kernel"


@pytest.mark.parametrize(("count", "expected"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps")])
def test_the_form_follows_the_number(count: int, expected: str) -> None:
    assert say_many("{count} step", "{count} steps", count).english == expected


def test_the_words_are_read_without_any_locale() -> None:
    program = "from kvmwizard.words import say; print(say('KVM works'))"
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "KVM works\n"


def test_every_sentence_is_given_what_its_places_name() -> None:
    """A place that is not given is shown as it is, so nobody else would notice."""
    for folder in (Path(words.__file__).parent, Path(screens.__file__).parent):
        for file in folder.rglob("*.py"):
            for call in filter(is_sentence, ast.walk(ast.parse(file.read_text(encoding="utf-8")))):
                templates = [each.value for each in call.args if isinstance(each, ast.Constant)]
                named = {name for each in templates if isinstance(each, str) for name in PLACE.findall(each)}
                given = {keyword.arg for keyword in call.keywords}
                # Without any, the places of a table's sentence are given later.
                assert not given or None in given or named <= given | {"count"}, f"{file}:{call.lineno}"


def is_sentence(node: ast.AST) -> TypeGuard[ast.Call]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    return node.func.id in KEYWORDS


@pytest.mark.parametrize(
    "template",
    ["{", "}", "{}", "{0}", "{gone}", "{path.__class__}", "{path!r:>999999999}", "{path", "%s", "{path:d}"],
)
def test_a_sentence_from_a_file_is_shown_whatever_it_says(template: str) -> None:
    assert say(template, path="/dev/kvm").english == template


def test_what_stands_in_a_place_is_not_looked_through_for_places() -> None:
    assert say("{first} {second}", first="{second}", second="{first}").english == "{second} {first}"
