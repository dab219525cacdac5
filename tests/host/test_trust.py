"""Which programs root may run: with real files, links and owners."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kvmwizard.host.trust import safe_to_run

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it is root who must not run others' programs")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "roots" / "program"
    path.parent.mkdir()
    path.touch(mode=0o755)
    (tmp_path / "theirs").mkdir()
    return path


def theirs(program: Path) -> Path:
    return program.parents[1] / "theirs"


def link_of_theirs(program: Path) -> Path:
    link = theirs(program) / "program"
    link.symlink_to(program)
    os.chown(theirs(program), NOBODY, NOBODY)
    return link


def link_to_link_of_theirs(program: Path) -> Path:
    link = program.with_name("link")
    link.symlink_to(link_of_theirs(program))
    return link


def owned_by_somebody(program: Path) -> Path:
    os.chown(program, NOBODY, NOBODY)
    return program


def in_a_group_s_directory(program: Path) -> Path:
    os.chown(program.parent, 0, 50)
    program.parent.chmod(0o775)
    return program


def in_everybody_s_directory(program: Path) -> Path:
    program.parent.chmod(0o777)
    return program


@pytest.mark.parametrize(
    "trap",
    [
        link_of_theirs,
        link_to_link_of_theirs,
        owned_by_somebody,
        in_a_group_s_directory,
        in_everybody_s_directory,
    ],
)
def test_root_runs_no_program_that_somebody_else_could_swap(
    program: Path, trap: Callable[[Path], Path]
) -> None:
    assert safe_to_run(str(program))
    assert not safe_to_run(str(trap(program)))


def test_links_of_root_s_own_are_followed(program: Path) -> None:
    program.with_name("link").symlink_to("program")
    assert safe_to_run(str(program.with_name("link")))


def test_what_is_not_there_or_leads_in_a_circle_is_not_run(program: Path) -> None:
    program.with_name("circle").symlink_to("circle")
    for name in ("circle", "nothing"):
        assert not safe_to_run(str(program.with_name(name)))
