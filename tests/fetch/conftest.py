"""Fixtures of the tests of getting sources."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetch.downloads import Downloads
from tests.fetch.workers import Bench, bench
from tests.mirror.layout import Layout
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey


@pytest.fixture
def builder() -> Iterator[Bench]:
    """A builder with a folder of its own."""
    with bench() as made:
        yield made


def make_small_tree(tree: Path, size: int) -> Path:
    """A source tree of a few files, and as many bytes that do not get smaller."""
    tree.joinpath("kernel").mkdir(parents=True)
    tree.joinpath("Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\n", encoding="utf-8")
    tree.joinpath("kernel", "data").write_bytes(os.urandom(size))
    tree.joinpath("kernel", "link").symlink_to("../Makefile")
    return tree


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    """A source tree."""
    return make_small_tree(tmp_path / "small", 400_000)


@pytest.fixture(scope="session")
def release(signing_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linux 6.1.9 as kernel.org has it, packed and signed once for all tests."""
    folder = tmp_path_factory.mktemp("release")
    layout = Layout(folder / "www", signing_key)
    layout.add_kernel("6.1.9", make_small_tree(folder / "tree", 2_000_000))
    return layout.folder


@pytest.fixture
def downloads(mirror: Mirror, release: Path, tmp_path: Path) -> Downloads:
    """Linux 6.1.9 on the mirror, and a way to download it."""
    shutil.copytree(release, mirror.layout.folder, dirs_exist_ok=True)
    return Downloads(mirror, tmp_path / "downloads")
