"""Reading answers that a person wrote, and saying plainly what is wrong with them."""

import json
import os
from pathlib import Path

import pytest

from kvmwizard.answers import AccessAnswer, Answers, DistributionKernel, KernelAnswer
from kvmwizard.answers_file import AnswersFileRefused, read_answers_file

JARGON = ("pydantic", "Input", "validation", "Traceback", "union", "literal", "Field")

WRONG_ANSWERS = {
    "unknown page": ({"colour": 1}, "colour is not known; known there are: welcome, kernel, kernel_options"),
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
        {"qemu": {"qemu": {"source": "git"}}},
        'qemu.qemu.source is "git", but must be one of: distribution, local.',
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
        'qemu.qemu.path is "qemu", but must be a path that begins with /.',
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
    "a list": ([], "$ is [], but must be an object in braces."),
    "long value": ({"access": {"user": [1] * 1000}}, "access.user is [1, 1,"),
}

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
