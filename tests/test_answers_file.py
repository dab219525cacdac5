"""Reading answers that a person wrote, and saying plainly what is wrong with them."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from kvmwizard.answers import AccessAnswer, AnswerModel, Answers, DistributionKernel, KernelAnswer
from kvmwizard.answers_file import AnswersFileRefused, read_answers_file
from kvmwizard.text_rules import SOURCE_PATTERNS, WRONG_TEXTS, wrong_source

JARGON = ("pydantic", "Input", "validation", "Traceback", "union", "literal", "Field")

WRONG_ANSWERS = {
    "unknown page": (
        {"colour": 1},
        "colour is not known; known there are: welcome, sources, kernel, kernel_build",
    ),
    "unknown key": (
        {"access": {"user": "alice", "colour": 1}},
        "access.colour is not known; known there are: user, now.",
    ),
    "unknown key in a choice": (
        {"kernel": {"kernel": {"source": "keep", "colour": 1}}},
        "kernel.kernel.colour is not known; known there are: source.",
    ),
    "missing key": ({"access": {}}, "access.user is missing."),
    "number for a text": ({"access": {"user": 3}}, "access.user is 3, but must be text in quotation marks."),
    "text for a truth": (
        {"access": {"user": "alice", "now": "yes"}},
        'access.now is "yes", but must be true',
    ),
    "no user name": ({"access": {"user": "A B"}}, 'access.user is "A B", but must be the name of a user.'),
    "unknown source": (
        {"qemu": {"qemu": {"source": "svn"}}},
        'qemu.qemu.source is "svn", but must be one of: distribution, local, release, git, local-source.',
    ),
    "no source": (
        {"kernel": {"kernel": {}}},
        "kernel.kernel is {}, but must be an object that has a source.",
    ),
    "text for an object": (
        {"welcome": "packages"},
        'welcome is "packages", but must be an object in braces.',
    ),
    "relative path": (
        {"qemu": {"qemu": {"source": "local", "path": "qemu"}}},
        'qemu.qemu.path is "qemu", but must be a path that begins with / and has no invisible signs in it.',
    ),
    "option for a package": (
        {"kernel": {"kernel": {"source": "distribution", "package": "-o", "version": "1"}}},
        'kernel.kernel.package is "-o", but must be the name of a package.',
    ),
    "text for a list": (
        {"qemu_options": {"extras": "libvirt"}},
        'qemu_options.extras is "libvirt", but must be a list in square brackets.',
    ),
    "unknown extra": (
        {"qemu_options": {"extras": ["libvirt", "spice"]}},
        'qemu_options.extras.2 is "spice", but must be one of: image-tools, uefi-firmware, libvirt.',
    ),
    "repeated module": (
        {"kernel_options": {"modules": ["tun", "tun"]}},
        "kernel_options.modules names something twice: tun.",
    ),
    "no module name": (
        {"kernel_options": {"modules": ["../tun"]}},
        'kernel_options.modules.1 is "../tun", but must be the name of a kernel module, with underscores.',
    ),
    "version with a v": (
        {"kernel": {"kernel": {"source": "release", "version": "v6.12"}}},
        'kernel.kernel.version is "v6.12", but must be a version in numbers, as 6.12.104',
    ),
    "number for a version": (
        {"kernel": {"kernel": {"source": "release", "version": 6.12}}},
        "kernel.kernel.version is 6.12, but must be text in quotation marks.",
    ),
    "tag without a v": (
        {"qemu": {"qemu": {"source": "git", "tag": "2.7.0"}}},
        'qemu.qemu.tag is "2.7.0", but must be a tag of a version, as v6.12.104 or v2.7.0.',
    ),
    "address of nothing": (
        {"sources": {"kernel_mirror": "mirror.example.org"}},
        'sources.kernel_mirror is "mirror.example.org", but must be an address that begins with https://,',
    ),
    "repository of another kind": (
        {"sources": {"qemu_git": "ext::sh -c reboot"}},
        'sources.qemu_git is "ext::sh -c reboot", but must be the address of a git repository that begins',
    ),
    "jobs": (
        {"kernel_build": {"jobs": 0}},
        "kernel_build.jobs is 0, but must be a number from 1 to 1024.",
    ),
    "text for jobs": (
        {"qemu_build": {"jobs": "4"}},
        'qemu_build.jobs is "4", but must be a whole number, without quotation marks.',
    ),
    "base": (
        {"kernel_build": {"base": "allyesconfig"}},
        'kernel_build.base is "allyesconfig", but must be one of: running, defconfig, localmodconfig, file.',
    ),
    "target": (
        {"qemu_build": {"targets": ["x86_64-linux-user"]}},
        'qemu_build.targets.1 is "x86_64-linux-user", but must be a target of QEMU\'s configure, as x86_64',
    ),
    "a list": ([], "$ is [], but must be an object in braces."),
    "long value": ({"access": {"user": [1] * 1000}}, "access.user is [1, 1,"),
}

HOSTILE = (
    "",
    " ",
    "-rf",
    "--help",
    "a b",
    "$(reboot)",
    "`reboot`",
    "a;reboot",
    "a\nb",
    "a\x00b",
    "../../etc",
    "\x1b[31m",
    "é",
    "'",
    '"',
    "x" * 500,
)
"""Texts that none of the fields below takes, whatever else they are."""

TEXT_FIELDS = {
    "release": lambda text: {"kernel": {"kernel": {"source": "release", "version": text}}},
    "tag": lambda text: {"qemu": {"qemu": {"source": "git", "tag": text}}},
    "local source": lambda text: {
        "kernel": {"kernel": {"source": "local-source", "path": text, "version": "6.1"}}
    },
    "mirror": lambda text: {"sources": {"kernel_mirror": text}},
    "repository": lambda text: {"sources": {"qemu_git": text}},
    "key": lambda text: {"sources": {"kernel_key": text}},
    "folder": lambda text: {"kernel_build": {"folder": text}},
    "remedy": lambda text: {"kernel_build": {"agreed": [text]}},
    "feature": lambda text: {"kernel_build": {"features": [text]}},
    "compiler": lambda text: {"kernel_build": {"compiler": text}},
    "target": lambda text: {"qemu_build": {"targets": [text]}},
    "prefix": lambda text: {"qemu_build": {"prefix": text}},
}
"""Where each text goes."""

NO_ANSWERS = {
    "empty": (b"", "is not JSON: line 1, column 1"),
    "truncated": (b'{"access":\n', "is not JSON: line 2, column 1"),
    "not text": (b"\xff\xfe", "is not JSON"),
    "nested too deep": (b"[" * 100_000, "is not JSON"),
    "half a character": (b'{"access": {"user": "\\ud800"}}', "is not JSON"),
    "key twice": (b'{"access": {"user": "a", "user": "b"}}', "gives the key user twice"),
    "too big": (b" " * 2_000_000, "is larger than 1048576 bytes"),
}


def refused(path: Path) -> AnswersFileRefused:
    with pytest.raises(AnswersFileRefused) as caught:
        read_answers_file(path)
    text = " ".join([caught.value.words.english, *(words.english for words in caught.value.details)])
    assert str(path) in text
    assert not any(word in text for word in JARGON)
    return caught.value


def test_pages_that_are_given_are_read_and_the_others_left_open(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    kernel = {"source": "distribution", "package": "linux-image-amd64", "version": "6.1.1"}
    path.write_text(json.dumps({"access": {"user": "alice"}, "kernel": {"kernel": kernel}}))
    assert read_answers_file(path) == Answers(
        access=AccessAnswer(user="alice"),
        kernel=KernelAnswer(kernel=DistributionKernel(package="linux-image-amd64", version="6.1.1")),
    )


@pytest.mark.parametrize(("answers", "expected"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_a_wrong_answer_is_named(tmp_path: Path, answers: object, expected: str) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(answers))
    (detail,) = refused(path).details
    assert detail.english.startswith(expected)
    assert len(detail.english) < 200


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("answers", TEXT_FIELDS.values(), ids=TEXT_FIELDS)
def test_hostile_texts_are_refused_in_a_sentence(
    tmp_path: Path, answers: Callable[[str], object], text: str
) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(answers(text)))
    (detail,) = refused(path).details
    assert ", but must be " in detail.english
    assert detail.english.isprintable()
    assert len(detail.english) < 300


@pytest.mark.parametrize(
    "text", ["a b", "-O2", "enable-lto", "--a b", "--a=$(b)", "--a=`b`", "--a='b'", "--a\nb", "--", "--a;b"]
)
def test_hostile_flags_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"qemu_build": {"flags": [text]}}))
    (detail,) = refused(path).details
    assert "but must be one flag of QEMU's configure" in detail.english


@pytest.mark.parametrize("text", ["mine", "-", "--", "-Mine", "- x", "-$(x)", "-x\n", "-x/y", "-" + "x" * 40])
def test_hostile_suffixes_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"kernel_build": {"local_version": text}}))
    (detail,) = refused(path).details
    assert "but must be empty, or begin with -" in detail.english


@pytest.mark.parametrize("name", ["a/b", ".hidden", "-rf", "a b", "x" * 300, "linux.tar.xz\n"])
def test_hostile_names_of_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "answers.json"
    kernel = {"source": "release", "version": "6.12", "unverified": name}
    path.write_text(json.dumps({"kernel": {"kernel": kernel}}))
    (detail,) = refused(path).details
    assert "but must be the name of the one file" in detail.english


def test_every_text_with_a_rule_has_a_sentence_for_who_breaks_it() -> None:
    def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        yield model
        for kind in model.__subclasses__():
            yield from models(kind)

    for model in models(AnswerModel):
        for name, field in model.model_fields.items():
            if "pattern" in str(field):
                assert name in WRONG_TEXTS, f"{model.__name__}.{name}"


def test_every_wrong_answer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"colour": 1, "access": {"now": 1}}))
    assert sorted(words.english.split(" is ")[0] for words in refused(path).details) == [
        "access.now",
        "access.user",
        "colour",
    ]


@pytest.mark.parametrize(("content", "expected"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_file_without_answers_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "answers.json"
    path.write_bytes(content)
    assert expected in refused(path).words.english


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "answers.json").words.english


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "Is a directory" in refused(tmp_path).words.english


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.touch(mode=0)
    assert "Permission denied" in refused(path).words.english


def test_a_device_that_never_ends_is_refused() -> None:
    assert "larger than" in refused(Path("/dev/zero")).words.english


@pytest.mark.parametrize("field", SOURCE_PATTERNS)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_options_are_refused_in_a_sentence(field: str, text: str) -> None:
    words = wrong_source(field, text, "--option")
    assert words is not None
    assert words.english.startswith("--option is ")
    assert words.english.isprintable()


def test_options_with_a_newline_at_the_end_are_refused() -> None:
    assert wrong_source("kernel_mirror", "https://example.org", "--x") is None
    assert wrong_source("kernel_mirror", "https://example.org\n", "--x") is not None
    assert wrong_source("kernel_key", "/tmp/key\n", "--x") is not None
